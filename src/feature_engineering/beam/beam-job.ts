import type { MessageForm } from "./message-form.ts";
import type { JobSettings } from "./script/job-settings.ts";

/** The job file, which the host reads: everything that one pipeline needs. Holds passwords: never to be logged. */
export interface BeamJob {
  /** Tells jobs in one JVM apart. */
  readonly id: string;
  readonly engine: "v8" | "graal";
  /** The bundled script. */
  readonly script: string;
  /** The plan as canonical JSON. */
  readonly plan: string;
  readonly settings: JobSettings;
  /** In the order of `settings.sources`. */
  readonly sources: readonly BeamInput[];
  /** In the order of `settings.sources`: the job stops when more than `most` of the last `over` messages are bad. */
  readonly dead_letters: readonly { readonly most: number; readonly over: number }[];
  /** Where messages' schemas are; null if none is named. */
  readonly registry: BeamRegistry | null;
  readonly online: BeamOnline;
  readonly history: BeamHistory | null;
  /** Raw events as Parquet too; null: not. */
  readonly parquet: BeamParquet | null;
}

/** Files by day, `<folder>/<source>/day=2026-06-01/…`. */
export interface BeamParquet {
  /** Of any of Beam's file systems. */
  readonly folder: string;
  /** How long a stream's events are gathered for a file, milliseconds. */
  readonly every_ms: number;
  /** Files of an earlier run of the generation are moved to `<folder>/<source>/_replaced/…`: its events come again. */
  readonly anew: boolean;
  /** By source: SQL of DuckDB's that makes the file's rows of history's; `$FILE` stands for these. */
  readonly select: Readonly<Record<string, string>>;
}

/** Where one source's messages come from. */
export type BeamInput = { readonly files: readonly BeamFile[] } | BeamStream;

/** A stream, by the name of its transport. */
export type BeamStream = BeamStreamFacts &
  ({ readonly kafka: BeamKafka } | { readonly kinesis: BeamKinesis } | { readonly pubsub: BeamPubsub });

export interface BeamStreamFacts {
  readonly clock: "wall" | "stream";
  readonly lateness_ms: number;
  readonly messages: MessageForm;
}

export interface BeamKinesis {
  readonly stream: string;
  readonly region?: string;
  readonly endpoint?: string;
  /** Default: the AWS SDK's chain, in each worker. */
  readonly credentials?: {
    readonly access_key_id: string;
    readonly secret_access_key: string;
    readonly session_token?: string;
  };
  /** Records that arrived from this moment on, epoch milliseconds; or where the stream begins or ends. */
  readonly from: number | "TRIM_HORIZON" | "LATEST";
}

export interface BeamPubsub {
  /** `projects/P/subscriptions/S`. */
  readonly subscription: string;
  /** `host:port` of a stand-in. */
  readonly emulator?: string;
  /** How long ids of messages are remembered, milliseconds. */
  readonly remember_ms: number;
}

/** A schema registry that speaks Confluent's API. */
export interface BeamRegistry {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly timeout_ms?: number;
}

export interface BeamFile {
  /** Of any of Beam's file systems. */
  readonly path: string;
  readonly format: "csv" | "jsonl" | "parquet";
  /** The name of its partition: says what is in it. */
  readonly partition: string;
  /** Of Parquet: SQL of DuckDB's that gives its rows; `$FILE` stands for the file. */
  readonly select?: string;
}

export interface BeamKafka {
  readonly brokers: string;
  readonly topics: readonly string[];
  /** The Java client's own properties. */
  readonly config: Readonly<Record<string, string>>;
  /** Records from this moment on; null: from the oldest. Epoch milliseconds. */
  readonly from: number | null;
  /** Ends the job after so many records; for tests. */
  readonly max_records?: number;
}

/** TLS with what differs from Java's defaults, as PEM. */
export interface BeamTls {
  readonly ca?: string;
  readonly cert?: string;
  /** PKCS#8. */
  readonly key?: string;
  /** That the server's certificate is one of an authority's, for its name. */
  readonly verify: boolean;
}

/** The hot store: a Redis, or some nodes of a cluster. Names of keys are by shard: one, or as many as a cluster has. */
export interface BeamOnline {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly cluster: boolean;
  readonly database: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls: BeamTls | null;
  readonly views: readonly {
    readonly number: number;
    readonly keyspace: string;
    readonly prefixes: readonly string[];
  }[];
  readonly writers: readonly string[];
  readonly registry: readonly string[];
  readonly facts: string;
  readonly write_script: string;
  readonly clock_script: string;
}

/** The cold store, a PostgreSQL: JDBC's URL and properties, and the statements by source. */
export interface BeamHistory {
  readonly url: string;
  readonly properties: Readonly<Record<string, string>>;
  /** Null: as the URL's parameters say. */
  readonly tls: BeamTls | null;
  readonly statements: Readonly<Record<string, readonly string[]>>;
  readonly repair: Readonly<Record<string, { readonly state: string; readonly sql: string }>>;
}
