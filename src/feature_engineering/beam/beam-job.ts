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
  /** Where messages' schemas are; null if none is named. */
  readonly registry: BeamRegistry | null;
  readonly online: BeamOnline;
  readonly history: BeamHistory | null;
}

/** Where one source's messages come from. */
export type BeamInput = { readonly files: readonly BeamFile[] } | BeamStream;

/** A stream, by the name of its transport. */
export interface BeamStream {
  readonly clock: "wall" | "stream";
  readonly lateness_ms: number;
  readonly messages: MessageForm;
  readonly kafka: BeamKafka;
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
  readonly format: "csv" | "jsonl";
  /** The name of its partition: says what is in it. */
  readonly partition: string;
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

/** The hot store, a Redis. */
export interface BeamOnline {
  readonly url: string;
  readonly username?: string;
  readonly password?: string;
  readonly views: readonly { readonly number: number; readonly keyspace: string; readonly prefix: string }[];
  readonly writers: string;
  readonly registry: string;
  readonly facts: string;
  readonly write_script: string;
  readonly clock_script: string;
}

/** The cold store, a PostgreSQL: JDBC's URL and properties, and the statements by source. */
export interface BeamHistory {
  readonly url: string;
  readonly properties: Readonly<Record<string, string>>;
  readonly statements: Readonly<Record<string, readonly string[]>>;
  readonly repair: Readonly<Record<string, { readonly state: string; readonly sql: string }>>;
}
