import pino, { type Logger } from "pino";
import { type LogLevel, loadConfig, type ResolvedConfig } from "../config.ts";
import { logLines } from "./log-lines.ts";

/** What every command takes. */
export interface GlobalOptions {
  readonly config: string;
  readonly json?: boolean;
  readonly debug?: boolean;
}

export function configOf(options: GlobalOptions): Promise<ResolvedConfig> {
  return loadConfig(options.config, process.env);
}

/** Logs go to stderr, since stdout is for data: JSON lines, and for people who look on plain ones. */
export function loggerOf(level: LogLevel): Logger {
  return pino({ level }, process.stderr.isTTY === true ? logLines(process.stderr) : pino.destination(2));
}

/** Data: JSON with `--json`, else the text. */
export function print(options: GlobalOptions, data: unknown, text: () => string): void {
  process.stdout.write(options.json === true ? `${JSON.stringify(data)}\n` : `${text()}\n`);
}

/** What is no data: to stderr. */
export function say(text: string): void {
  process.stderr.write(`${text}\n`);
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
