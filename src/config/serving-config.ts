import { availableParallelism } from "node:os";
import { millraceError } from "../definitions/errors.ts";

/** How much work the server takes, and in how many processes. */
export interface ServingConfig {
  /** How many processes serve behind the port, or `auto`: one per core. Default 1. `MILLRACE_PROCESSES` */
  readonly processes?: number | "auto";
  /**
   * How long a request may take that does not say so itself (`X-Request-Timeout-Ms`), milliseconds; then 504. Default: as
   * long as it takes. `MILLRACE_REQUEST_TIMEOUT_MS`
   */
  readonly requestTimeoutMs?: number;
  /**
   * How long work may wait while there is a standing queue, milliseconds; what would wait longer is refused with 503.
   * 0 refuses nothing. Default 80. `MILLRACE_QUEUE_DELAY_TARGET_MS`
   */
  readonly queueDelayTargetMs?: number;
  /** How long requests in flight may take once the server stops, seconds. Default 10. `MILLRACE_DRAIN_SECONDS` */
  readonly drainSeconds?: number;
}

export interface ResolvedServing {
  readonly processes: number;
  readonly requestTimeoutMs: number | null;
  /** Null refuses nothing. */
  readonly queueDelayTargetMs: number | null;
  readonly drainSeconds: number;
}

const VARIABLE = {
  processes: "MILLRACE_PROCESSES",
  requestTimeoutMs: "MILLRACE_REQUEST_TIMEOUT_MS",
  queueDelayTargetMs: "MILLRACE_QUEUE_DELAY_TARGET_MS",
  drainSeconds: "MILLRACE_DRAIN_SECONDS",
} as const;

export const SERVING_NAMES: readonly string[] = Object.keys(VARIABLE);
export const SERVING_VARIABLES: readonly string[] = Object.values(VARIABLE);
const MOST_PROCESSES = 256;

type Env = Readonly<Record<string, string | undefined>>;

/** Fills in and checks the serving part of `server`. @throws `CONFIG_INVALID`, naming the value or variable */
export function resolveServing(given: ServingConfig | undefined, env: Env): ResolvedServing {
  const number = (name: Exclude<keyof ServingConfig, "processes">, least: number, most: number): number | null => {
    const text = env[VARIABLE[name]];
    const value = text === undefined ? given?.[name] : text.trim() === "" ? Number.NaN : Number(text);
    if (value === undefined) return null;
    if (typeof value === "number" && value >= least && value <= most) return value;
    throw invalid(name, env, `a number from ${least} to ${most}`);
  };
  const target = number("queueDelayTargetMs", 0, 60_000) ?? 80;
  return {
    processes: processesOf(env[VARIABLE.processes] ?? given?.processes ?? 1, env),
    requestTimeoutMs: number("requestTimeoutMs", 1, 3_600_000),
    queueDelayTargetMs: target === 0 ? null : target,
    drainSeconds: number("drainSeconds", 0, 3_600) ?? 10,
  };
}

function processesOf(given: unknown, env: Env): number {
  if (given === "auto") return availableParallelism();
  const value = typeof given === "string" && given.trim() !== "" ? Number(given) : given;
  if (typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= MOST_PROCESSES) return value;
  throw invalid("processes", env, `auto, or a whole number from 1 to ${MOST_PROCESSES}`);
}

function invalid(name: keyof ServingConfig, env: Env, expected: string): Error {
  const from = env[VARIABLE[name]] === undefined ? `server.${name}` : `the variable ${VARIABLE[name]}`;
  return millraceError("CONFIG_INVALID", `${from} must be ${expected}.`, { details: { name: from } });
}
