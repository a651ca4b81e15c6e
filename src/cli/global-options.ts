import pino, { type Logger } from "pino";
import { loadConfig, type ResolvedConfig } from "../config.ts";
import { traceFields } from "../monitoring/tracing/active-span.ts";

/** What every command takes. */
export interface GlobalOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly debug?: boolean;
}

/** A revision above 0 reads the configuration's file again. */
export function configOf(options: GlobalOptions, revision = 0): Promise<ResolvedConfig> {
  return loadConfig(options.config, process.env, revision);
}

/** Logs go to stderr: stdout is for data. */
export function loggerOf(level: string): Logger {
  return pino({ level, mixin: traceFields }, pino.destination(2));
}

/** Data: JSON with `--json`, else the text. */
export function print(options: GlobalOptions, data: unknown, text: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(data)}\n` : `${text()}\n`);
}

/** Columns aligned, for people. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0))) ?? [];
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
