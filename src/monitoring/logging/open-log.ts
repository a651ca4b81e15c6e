import pino, { type Level, type Logger } from "pino";
import { traceFields } from "../tracing/active-span.ts";
import { hideSecrets } from "./hide-secrets.ts";
import { logError } from "./log-error.ts";
import { readableLine } from "./readable-line.ts";
import { repeatedLines } from "./repeated-lines.ts";

export interface LogOptions {
  readonly level: string;
  /** `json`; `text`, for people; `auto`: text on a terminal, else JSON. */
  readonly format: "auto" | "json" | "text";
  /** What no line may show; see `secretsOf`. */
  readonly secrets: readonly string[];
  /** In every line. Default: process id and host. */
  readonly base?: Readonly<Record<string, unknown>>;
  /** Where lines go. Default: stderr, since stdout is for data. */
  readonly write?: (line: string) => void;
}

/** From this level on equal lines are counted rather than repeated: `warn`. */
const COUNTED = 40;
/** What tells lines with one message and one error apart. */
const KEY_FIELDS = ["model", "version", "source", "route", "process", "server", "reason"] as const;

/**
 * The log of a process. Each line has the ids of the trace that its writer is in; none has a secret. A warning or an
 * error that comes again within a minute is not written again: after the minute the newest one is, with how many there
 * were in `repeated`.
 */
export function openLog(options: LogOptions): Logger {
  const hide = hideSecrets(options.secrets);
  const repeated = repeatedLines();
  const write = options.write ?? writer();
  const isText = options.format === "text" || (options.format === "auto" && process.stderr.isTTY === true);
  const isColoured = isText && process.stderr.isTTY === true && !process.env.NO_COLOR;
  process.once("exit", repeated.flush);
  return pino(
    {
      level: options.level,
      ...(options.base === undefined ? {} : { base: { ...options.base } }),
      mixin: traceFields,
      serializers: { err: logError },
      hooks: {
        logMethod(args, method, level) {
          const given = args as [unknown, ...string[]];
          const rewrite = (count: number): void => {
            const fields = typeof given[0] === "object" && given[0] !== null ? given[0] : {};
            const message = typeof given[0] === "string" ? given[0] : given[1];
            method.apply(this, [{ ...fields, repeated: count }, message ?? ""]);
          };
          if (level < COUNTED || repeated.admit(keyOf(level, given), rewrite)) method.apply(this, args);
        },
      },
    },
    { write: (line: string) => write(isText ? readableLine(hide(line), isColoured) : hide(line)) },
  );
}

/** Each SIGUSR2 turns `debug` on, or off again. */
export function debugOnSignal(log: Logger): void {
  const usual = log.level as Level;
  process.on("SIGUSR2", () => {
    log.level = log.level === "debug" ? (usual === "debug" ? "info" : usual) : "debug";
  });
}

function writer(): (line: string) => void {
  const destination = pino.destination({ dest: 2, sync: true });
  return (line) => void destination.write(line);
}

function keyOf(level: number, [first, second]: readonly [unknown, ...string[]]): string {
  if (typeof first !== "object" || first === null) return `${level} ${String(first)}`;
  const fields = first as Readonly<Record<string, unknown>>;
  const { err } = fields;
  const error = err instanceof Error ? ("code" in err ? String(err.code) : err.message) : String(err ?? fields.code);
  return [level, second, error, ...KEY_FIELDS.map((field) => fields[field])].join("\0");
}
