import { type Duration, durationMs } from "./duration.ts";
import type { TableFilesConnector } from "./table-files.ts";

/** Where a source's events come from, as data; the ingestion layer turns it into a connection. */
export type StreamConnector =
  | FileReplayConnector
  | HttpPushConnector
  | MemoryConnector
  | KafkaConnector
  | KinesisConnector
  | PubsubConnector
  | TableFilesConnector;

export interface FileReplayConnector {
  readonly connector: "file_replay";
  readonly paths: readonly string[];
  readonly format: "csv" | "jsonl" | null;
  readonly nullTexts: readonly string[];
}
export interface HttpPushConnector {
  readonly connector: "http_push";
  /** How long an idempotency key is remembered, in milliseconds. */
  readonly idempotencyWindowMs: number;
}
export interface MemoryConnector {
  readonly connector: "memory";
}

export interface KafkaConnector {
  readonly connector: "kafka";
  /** Which of the configuration's clusters. */
  readonly cluster: string;
  readonly topics: readonly string[];
  /** Null: the configuration's. */
  readonly group: string | null;
  /** Epoch milliseconds, or where a topic begins or ends. */
  readonly start: "earliest" | "latest" | number;
}
export interface KinesisConnector {
  readonly connector: "kinesis";
  /** A name, or an ARN. */
  readonly stream: string;
  readonly start: "earliest" | "latest" | number;
}
export interface PubsubConnector {
  readonly connector: "pubsub";
  readonly subscription: string;
  /** How long the ids of committed messages are remembered, in milliseconds. */
  readonly idempotencyWindowMs: number;
}

/** Where a stream begins of which nothing is stored yet. */
type Start = "earliest" | "latest" | Date;

export interface FileReplayOptions {
  /** One file or several, CSV or JSONL, plain or gzip; relative paths are relative to the working directory. */
  readonly path: string | readonly string[];
  /** Default: by the file's name. */
  readonly format?: "csv" | "jsonl";
  /** Texts that mean null in CSV, beside the empty one. Default: none. */
  readonly nullTexts?: readonly string[];
}

/** Replays events from CSV or JSONL files in the order of their event times. */
export function fileReplay(options: FileReplayOptions): FileReplayConnector {
  return Object.freeze({
    connector: "file_replay",
    paths: typeof options.path === "string" ? [options.path] : [...options.path],
    format: options.format ?? null,
    nullTexts: options.nullTexts ?? [],
  });
}

/** Takes events over `POST /v1/sources/{name}/events`. `idempotencyWindow` (default `"24h"`) is how long keys are remembered. */
export function httpPush(options: { readonly idempotencyWindow?: Duration } = {}): HttpPushConnector {
  return Object.freeze({ connector: "http_push", idempotencyWindowMs: durationMs(options.idempotencyWindow ?? "24h") });
}

/** Takes events from the same process; for tests and embedding. */
export function memory(): MemoryConnector {
  return Object.freeze({ connector: "memory" });
}

/**
 * Reads topics of a Kafka cluster as a member of a consumer group. Brokers and secrets are in the configuration, not
 * here: the declarations are kept in the registry. `cluster` (default `"default"`) names one of several, `group` (default:
 * the configuration's) the consumer group. `start` (default `"earliest"`) is where a topic begins of which nothing is
 * stored yet; later the stored position counts.
 */
export function kafka(options: {
  readonly topic: string | readonly string[];
  readonly cluster?: string;
  readonly group?: string;
  readonly start?: Start;
}): KafkaConnector {
  return Object.freeze({
    connector: "kafka",
    cluster: options.cluster ?? "default",
    topics: typeof options.topic === "string" ? [options.topic] : [...options.topic],
    group: options.group ?? null,
    start: startOf(options.start),
  });
}

/** Reads all shards of an AWS Kinesis stream (a name or an ARN); the region and credentials are in the configuration. */
export function kinesis(options: { readonly stream: string; readonly start?: Start }): KinesisConnector {
  return Object.freeze({ connector: "kinesis", stream: options.stream, start: startOf(options.start) });
}

/**
 * Pulls a GCP Pub/Sub subscription (`projects/P/subscriptions/S`, or S with the configuration's project). The ids of
 * committed messages are remembered for `idempotencyWindow` (default `"8d"`, longer than Pub/Sub retains messages).
 */
export function pubsub(options: {
  readonly subscription: string;
  readonly idempotencyWindow?: Duration;
}): PubsubConnector {
  return Object.freeze({
    connector: "pubsub",
    subscription: options.subscription,
    idempotencyWindowMs: durationMs(options.idempotencyWindow ?? "8d"),
  });
}

function startOf(start: Start | undefined): KafkaConnector["start"] {
  return start instanceof Date ? start.getTime() : (start ?? "earliest");
}
