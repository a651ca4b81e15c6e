import { existsSync } from "node:fs";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { BATCH_VARIABLES, type BatchLimits } from "../api/batch/batch-limits.ts";
import { millraceError } from "../definitions/errors.ts";
import { historyThreads } from "../feature_store/historical-reader.ts";
import type { OnlineReadOptions } from "../feature_store/online-reader.ts";
import { resolveBatch } from "./batch-config.ts";
import { BEAM_NAMES, type BeamConfig, resolveBeam } from "./beam-config.ts";
import { isGroup } from "./check-group.ts";
import { CONNECTION_NAMES, CONNECTION_VARIABLES, type ConnectionsConfig, resolveConnections } from "./connections.ts";
import {
  DEAD_LETTER_NAMES,
  DEAD_LETTER_VARIABLES,
  type DeadLetterConfig,
  type DeadLetterThresholds,
  resolveDeadLetters,
} from "./dead-letter-config.ts";
import { importModule } from "./module-loader.ts";
import {
  QUALITY_NAMES,
  QUALITY_VARIABLES,
  type QualityConfig,
  type ResolvedQuality,
  resolveQuality,
} from "./quality-config.ts";
import { READ_VARIABLES, resolveReads } from "./read-config.ts";
import { type Retention, type RetentionConfig, resolveRetention } from "./retention.ts";
import {
  type ResolvedSecurity,
  resolveSecurity,
  SECURITY_NAMES,
  SECURITY_VARIABLES,
  type SecurityConfig,
} from "./security-config.ts";
import {
  type ResolvedServing,
  resolveServing,
  SERVING_NAMES,
  SERVING_VARIABLES,
  type ServingConfig,
} from "./serving-config.ts";
import {
  type OfflineConfig,
  type OnlineConfig,
  resolveOffline,
  resolveOnline,
  STORE_VARIABLES,
} from "./store-config.ts";
import { type ResolvedTls, resolveTls, TLS_VARIABLES, type TlsConfig } from "./tls-config.ts";

/** What `millrace.config.ts` exports as its default. Relative paths are relative to the file. */
export interface MillraceConfig {
  /** Modules whose exports are the declarations. */
  readonly declarations: string | readonly string[];
  /** The folder of the embedded stores. Default `.millrace`. `MILLRACE_DATA` */
  readonly data?: string;
  /** The hot store: `redis({ url })`, or by default LMDB in the data folder. `MILLRACE_REDIS_URL` and others. */
  readonly online?: OnlineConfig;
  /** The cold store: `postgres({ url })`, or by default DuckDB in the data folder. `MILLRACE_POSTGRES_URL` and others. */
  readonly offline?: OfflineConfig;
  /**
   * How requests read the hot store: deadline, what is answered without it, caches by view. Default: no deadline but the
   * store's own, an error, no cache. `MILLRACE_READ_DEADLINE_MS`, `MILLRACE_READ_FALLBACK`
   */
  readonly reads?: OnlineReadOptions;
  /**
   * How long history is kept by the source's clock: `"400d"` of every source, or by source `{ payments: "400d" }`.
   * Default: all of it for ever. Needs PostgreSQL.
   */
  readonly retention?: RetentionConfig;
  /**
   * A source stops when more than `share` of its last `over` messages cannot be used, with the embedded engine and on
   * Beam: `{ share: 0.5, over: 1000 }` (the default); share 1 never stops. By source under `sources`.
   * `MILLRACE_DEAD_LETTER_SHARE`
   */
  readonly deadLetters?: DeadLetterConfig;
  readonly history?: {
    /** How many threads compute the windows of a training set. Default: one per core, at most 4. `MILLRACE_HISTORY_THREADS` */
    readonly threads?: number;
  };
  readonly server?: ServingConfig &
    SecurityConfig & {
      /** Default `127.0.0.1`. `MILLRACE_HOST` */
      readonly host?: string;
      /** 0 takes a free port. Default 8080. `MILLRACE_PORT` */
      readonly port?: number;
      /** The largest request body. Default 32 MiB. `MILLRACE_BODY_LIMIT_BYTES` */
      readonly bodyLimitBytes?: number;
      /** The most rows of one request. Default 100,000. `MILLRACE_MAX_ROWS` */
      readonly maxRows?: number;
      /** What admin routes ask for. Default: a new one per process, in the data folder's private file. `MILLRACE_ADMIN_TOKEN` */
      readonly adminToken?: string;
      /** Of batches of predictions; see docs/protocols.md. `MILLRACE_BATCH_ROW_BYTES`, … */
      readonly batch?: Partial<BatchLimits>;
      /** Serve HTTPS. Default: plain HTTP. `MILLRACE_TLS_CERT_FILE`, … */
      readonly tls?: TlsConfig;
    };
  readonly replay?: {
    /** Seconds of event time per second, or `max`. Default `max`. `MILLRACE_REPLAY_SPEED` */
    readonly speed?: number | "max";
    /** Hold replays until something advances them. Default false. */
    readonly hold?: boolean;
  };
  readonly models?: {
    /** How often new versions are looked for. Default 5 s. `MILLRACE_MODEL_POLL_SECONDS` */
    readonly pollSeconds?: number;
    /** The most memory that loaded models may take. Default 1 GiB. `MILLRACE_MODEL_CACHE_BYTES` */
    readonly cacheBytes?: number;
    /** The most that downloaded models may take on disk, in the data folder. Default 10 GiB. `MILLRACE_MODEL_DISK_BYTES` */
    readonly diskBytes?: number;
    /** The model that `/invocations` means. Default: the only one that is declared. `MILLRACE_DEFAULT_MODEL` */
    readonly default?: string;
  };
  /** How Kafka, Kinesis, Pub/Sub, a schema registry and MLflow are reached. `MILLRACE_KAFKA_BROKERS`, … */
  readonly connections?: ConnectionsConfig;
  /** Which sources Apache Beam reads; see docs/beam.md. Default: none. */
  readonly beam?: BeamConfig;
  /** How often outcomes and logged predictions are looked at; see docs/quality.md. */
  readonly quality?: QualityConfig;
  /** `silent`, `error`, `warn`, `info`, `debug`. Default `info`. `MILLRACE_LOG_LEVEL` */
  readonly logLevel?: LogLevel;
  /** `json`, `text` for people, or `auto` (default): text on a terminal, else JSON. `MILLRACE_LOG_FORMAT` */
  readonly logFormat?: LogFormat;
}
export type LogFormat = "auto" | "json" | "text";
export type LogLevel = "silent" | "error" | "warn" | "info" | "debug";

/** A configuration with every value filled in and checked. Paths are absolute. */
export interface ResolvedConfig {
  readonly declarations: readonly string[];
  readonly data: string;
  readonly online: OnlineConfig;
  readonly offline: OfflineConfig;
  readonly reads: OnlineReadOptions;
  readonly retention: Retention;
  readonly deadLetters: DeadLetterThresholds;
  readonly history: { readonly threads: number };
  readonly server: ResolvedServing &
    ResolvedSecurity & {
      readonly host: string;
      readonly port: number;
      readonly bodyLimitBytes: number;
      readonly maxRows: number;
      readonly adminToken: string | null;
      readonly batch: BatchLimits;
      readonly tls: ResolvedTls | null;
    };
  readonly replay: { readonly speed: number | "max"; readonly hold: boolean };
  readonly models: {
    readonly pollSeconds: number;
    readonly cacheBytes: number;
    readonly diskBytes: number;
    readonly default: string | null;
  };
  readonly connections: ConnectionsConfig;
  readonly beam: BeamConfig;
  readonly quality: ResolvedQuality;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
}

/** For the editor's help only: returns what it is given. */
export function defineConfig(config: MillraceConfig): MillraceConfig {
  return config;
}

const KNOWN: Readonly<Record<string, readonly string[] | null>> = {
  declarations: null,
  data: null,
  // Their values are checked where the stores are known.
  online: null,
  offline: null,
  reads: ["deadlineMs", "fallback", "cache"],
  // By source, or one for all.
  retention: null,
  deadLetters: DEAD_LETTER_NAMES,
  history: ["threads"],
  server: [
    "host",
    "port",
    "bodyLimitBytes",
    "maxRows",
    "adminToken",
    "batch",
    "tls",
    ...SERVING_NAMES,
    ...SECURITY_NAMES,
  ],
  replay: ["speed", "hold"],
  models: ["pollSeconds", "cacheBytes", "diskBytes", "default"],
  beam: BEAM_NAMES,
  connections: CONNECTION_NAMES,
  quality: QUALITY_NAMES,
  logLevel: null,
  logFormat: null,
};
const LEVELS: readonly LogLevel[] = ["silent", "error", "warn", "info", "debug"];
const FORMATS: readonly LogFormat[] = ["auto", "json", "text"];
const VARIABLES = [
  "MILLRACE_DATA",
  "MILLRACE_HISTORY_THREADS",
  "MILLRACE_HOST",
  "MILLRACE_PORT",
  "MILLRACE_BODY_LIMIT_BYTES",
  "MILLRACE_MAX_ROWS",
  "MILLRACE_REPLAY_SPEED",
  "MILLRACE_MODEL_POLL_SECONDS",
  "MILLRACE_MODEL_CACHE_BYTES",
  "MILLRACE_MODEL_DISK_BYTES",
  "MILLRACE_DEFAULT_MODEL",
  "MILLRACE_LOG_LEVEL",
  "MILLRACE_LOG_FORMAT",
  ...CONNECTION_VARIABLES,
  "MILLRACE_ADMIN_TOKEN",
  ...STORE_VARIABLES,
  ...READ_VARIABLES,
  ...QUALITY_VARIABLES,
  ...DEAD_LETTER_VARIABLES,
  ...SERVING_VARIABLES,
  ...SECURITY_VARIABLES,
  ...TLS_VARIABLES,
  ...Object.values(BATCH_VARIABLES),
];

/**
 * Loads a configuration file; environment variables win over it. A revision above 0 reads a changed file again.
 * @throws `CONFIG_NOT_FOUND`, `CONFIG_INVALID` (naming the value or variable)
 */
export async function loadConfig(
  file: string,
  env: Readonly<Record<string, string | undefined>>,
  revision = 0,
): Promise<ResolvedConfig> {
  const path = resolve(file);
  if (!existsSync(path)) {
    throw millraceError(
      "CONFIG_NOT_FOUND",
      `There is no configuration ${path}: make one (millrace.config.ts), or name it with --config.`,
    );
  }
  let module: { readonly default?: unknown };
  try {
    module = await importModule(path, revision);
  } catch (error) {
    throw millraceError(
      "CONFIG_INVALID",
      `The configuration ${path} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  if (!isGroup(module.default)) {
    throw millraceError(
      "CONFIG_INVALID",
      `The configuration ${path} has no default export: export default defineConfig({ declarations: "./features.ts" }).`,
    );
  }
  return resolveConfig(module.default as unknown as MillraceConfig, dirname(path), env);
}

/** Fills in and checks a configuration; relative paths are relative to `folder`. */
export function resolveConfig(
  config: MillraceConfig,
  folder: string,
  env: Readonly<Record<string, string | undefined>>,
): ResolvedConfig {
  checkNames(config);
  for (const name of Object.keys(env)) {
    if (name.startsWith("MILLRACE_") && !VARIABLES.includes(name)) {
      throw millraceError("CONFIG_INVALID", `The variable ${name} is unknown: Millrace reads ${VARIABLES.join(", ")}.`);
    }
  }
  const absolute = (path: string): string => (isAbsolute(path) ? path : join(folder, path));
  const declarations = typeof config.declarations === "string" ? [config.declarations] : config.declarations;
  if (!Array.isArray(declarations) || declarations.length === 0 || declarations.some((d) => typeof d !== "string")) {
    throw millraceError("CONFIG_INVALID", `declarations must be a module's path, or a list of them.`);
  }
  for (const path of declarations) {
    if (!existsSync(absolute(path)))
      throw millraceError("CONFIG_INVALID", `declarations names ${absolute(path)}, which does not exist.`);
  }
  const text = (name: string, variable: string, value: string | undefined, fallback: string): string => {
    const found = env[variable] ?? value ?? fallback;
    if (typeof found !== "string" || found.trim() === "" || found.includes("\0")) {
      throw invalid(name, variable, env, "a text, and not an empty one");
    }
    return found;
  };
  const number = (
    name: string,
    variable: string,
    value: number | undefined,
    fallback: number,
    least: number,
    most: number,
    isWhole = true,
  ): number => {
    const given = env[variable];
    const found = given === undefined ? (value ?? fallback) : given.trim() === "" ? Number.NaN : Number(given);
    const fits = typeof found === "number" && found >= least && found <= most && (!isWhole || Number.isInteger(found));
    if (!fits) throw invalid(name, variable, env, `a ${isWhole ? "whole " : ""}number from ${least} to ${most}`);
    return found;
  };
  const speed = env.MILLRACE_REPLAY_SPEED ?? config.replay?.speed ?? "max";
  const logLevel = (env.MILLRACE_LOG_LEVEL ?? config.logLevel ?? "info") as LogLevel;
  const logFormat = (env.MILLRACE_LOG_FORMAT ?? config.logFormat ?? "auto") as LogFormat;
  if (!FORMATS.includes(logFormat)) {
    throw invalid("logFormat", "MILLRACE_LOG_FORMAT", env, `one of ${FORMATS.join(", ")}`);
  }
  if (!LEVELS.includes(logLevel)) throw invalid("logLevel", "MILLRACE_LOG_LEVEL", env, `one of ${LEVELS.join(", ")}`);
  if (config.replay?.hold !== undefined && typeof config.replay.hold !== "boolean")
    throw invalid("replay.hold", "", env, "true or false");
  return {
    declarations: declarations.map(absolute),
    data: absolute(text("data", "MILLRACE_DATA", config.data, ".millrace")),
    online: resolveOnline(config.online, env),
    offline: resolveOffline(config.offline, env),
    reads: resolveReads(config.reads, env),
    retention: resolveRetention(config.retention),
    deadLetters: resolveDeadLetters(config.deadLetters, env),
    history: {
      threads: number("history.threads", "MILLRACE_HISTORY_THREADS", config.history?.threads, historyThreads(), 1, 64),
    },
    server: {
      host: text("server.host", "MILLRACE_HOST", config.server?.host, "127.0.0.1"),
      port: number("server.port", "MILLRACE_PORT", config.server?.port, 8080, 0, 65_535),
      bodyLimitBytes: number(
        "server.bodyLimitBytes",
        "MILLRACE_BODY_LIMIT_BYTES",
        config.server?.bodyLimitBytes,
        32 * 2 ** 20,
        1_024,
        2 ** 31,
      ),
      maxRows: number("server.maxRows", "MILLRACE_MAX_ROWS", config.server?.maxRows, 100_000, 1, 1e7),
      ...resolveServing(config.server, env),
      ...resolveSecurity(
        config.server,
        env,
        text("server.host", "MILLRACE_HOST", config.server?.host, "127.0.0.1"),
        absolute(text("data", "MILLRACE_DATA", config.data, ".millrace")),
      ),
      adminToken: tokenOf(config.server?.adminToken, env),
      batch: resolveBatch(config.server?.batch, env),
      tls: resolveTls(config.server?.tls, env, folder),
    },
    replay: {
      speed:
        speed === "max"
          ? "max"
          : number("replay.speed", "MILLRACE_REPLAY_SPEED", speed as number, 1, 1e-6, 1e12, false),
      hold: config.replay?.hold ?? false,
    },
    models: {
      pollSeconds: number(
        "models.pollSeconds",
        "MILLRACE_MODEL_POLL_SECONDS",
        config.models?.pollSeconds,
        5,
        0.05,
        86_400,
        false,
      ),
      cacheBytes: number(
        "models.cacheBytes",
        "MILLRACE_MODEL_CACHE_BYTES",
        config.models?.cacheBytes,
        2 ** 30,
        2 ** 20,
        2 ** 40,
      ),
      diskBytes: number(
        "models.diskBytes",
        "MILLRACE_MODEL_DISK_BYTES",
        config.models?.diskBytes,
        10 * 2 ** 30,
        2 ** 20,
        2 ** 50,
      ),
      default:
        env.MILLRACE_DEFAULT_MODEL === undefined && config.models?.default === undefined
          ? null
          : text("models.default", "MILLRACE_DEFAULT_MODEL", config.models?.default, ""),
    },
    connections: resolveConnections(config.connections, env),
    beam: resolveBeam(config.beam),
    quality: resolveQuality(config.quality, env),
    logLevel,
    logFormat,
  };
}

function checkNames(config: MillraceConfig): void {
  for (const [name, value] of Object.entries(config)) {
    const inner = Object.hasOwn(KNOWN, name) ? KNOWN[name] : undefined;
    if (inner === undefined) throw unknownName(name, Object.keys(KNOWN));
    if (inner === null) continue;
    if (!isGroup(value)) throw millraceError("CONFIG_INVALID", `${name} must be an object with ${inner.join(", ")}.`);
    for (const key of Object.keys(value)) if (!inner.includes(key)) throw unknownName(`${name}.${key}`, inner);
  }
}

function tokenOf(given: string | undefined, env: Readonly<Record<string, string | undefined>>): string | null {
  const token = env.MILLRACE_ADMIN_TOKEN ?? given ?? null;
  if (token === null || (typeof token === "string" && /^\S{16,}$/.test(token))) return token;
  throw invalid("server.adminToken", "MILLRACE_ADMIN_TOKEN", env, "a text of at least 16 characters without blanks");
}

function unknownName(name: string, known: readonly string[]): Error {
  return millraceError("CONFIG_INVALID", `The configuration has no '${name}': known here are ${known.join(", ")}.`);
}

function invalid(
  name: string,
  variable: string,
  env: Readonly<Record<string, string | undefined>>,
  expected: string,
): Error {
  const from = env[variable] === undefined ? name : `the variable ${variable}`;
  return millraceError("CONFIG_INVALID", `${from} must be ${expected}.`, { details: { name: from } });
}
