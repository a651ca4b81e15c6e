import type { Logger } from "pino";
import type { ResolvedConfig } from "../config/config.ts";
import { loadConfig } from "../config/resolve-config.ts";
import { openLog } from "../monitoring/logging/open-log.ts";
import { secretsOf } from "../monitoring/logging/secrets-of.ts";

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

/** The log of a command that runs on; `level` instead of the configuration's. */
export function loggerOf(config: ResolvedConfig, level: string = config.logLevel): Logger {
  return openLog({ level, format: config.logFormat, secrets: secretsOf(config, process.env) });
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
