import type { BatchLimits } from "../api/batch/batch-limits.ts";
import type { OnlineReadOptions } from "../feature_store/online-reader.ts";
import type { BeamConfig } from "./beam-config.ts";
import type { ConnectionsConfig } from "./connections.ts";
import type { DeadLetterConfig, DeadLetterThresholds } from "./dead-letter-config.ts";
import type { QualityConfig, ResolvedQuality } from "./quality-config.ts";
import type { Retention, RetentionConfig } from "./retention.ts";
import type { ResolvedSecurity, SecurityConfig } from "./security-config.ts";
import type { ResolvedServing, ServingConfig } from "./serving-config.ts";
import type { OfflineConfig, OnlineConfig } from "./store-config.ts";
import type { ResolvedTls, TlsConfig } from "./tls-config.ts";

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
