import { type Duration, durationMs } from "./duration.ts";

/** Where a source's events come from, as data; the ingestion layer turns it into a connection. */
export type StreamConnector = FileReplayConnector | HttpPushConnector | MemoryConnector;

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
