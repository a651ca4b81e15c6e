import { apiError } from "../api-errors.ts";

/** How much of a batch of predictions is taken, and how much of it is held at once. */
export interface BatchLimits {
  /** Of a body, decompressed, bytes. */
  readonly bodyBytes: number;
  /** Of a body. */
  readonly rows: number;
  /** Rows that are read, predicted and answered at once. */
  readonly chunkRows: number;
  /** Of JSON or CSV: more is no row but a body without an end. */
  readonly rowBytes: number;
  /** Of Arrow: each is held as a whole. */
  readonly recordBatchBytes: number;
  /** Answers that the client has not taken yet, in a temporary file. */
  readonly spoolBytes: number;
  /** After which a connection on which nothing moves is ended. */
  readonly idleSeconds: number;
}

export const DEFAULT_BATCH_LIMITS: BatchLimits = {
  bodyBytes: 64 * 2 ** 30,
  rows: 1e9,
  chunkRows: 2_048,
  rowBytes: 2 ** 20,
  recordBatchBytes: 128 * 2 ** 20,
  spoolBytes: 16 * 2 ** 30,
  idleSeconds: 120,
};

/** The variable of each limit, beside `server.batch.<name>` in the configuration. */
export const BATCH_VARIABLES: Readonly<Record<keyof BatchLimits, string>> = {
  bodyBytes: "MILLRACE_BATCH_BODY_BYTES",
  rows: "MILLRACE_BATCH_ROWS",
  chunkRows: "MILLRACE_BATCH_CHUNK_ROWS",
  rowBytes: "MILLRACE_BATCH_ROW_BYTES",
  recordBatchBytes: "MILLRACE_BATCH_RECORD_BATCH_BYTES",
  spoolBytes: "MILLRACE_BATCH_SPOOL_BYTES",
  idleSeconds: "MILLRACE_BATCH_IDLE_SECONDS",
};

/** `what` begins the sentence, "Row 3"; `advice` says what else than raising the limit helps. */
export function batchTooLarge(
  what: string,
  limit: "bodyBytes" | "rows" | "rowBytes" | "recordBatchBytes",
  most: number,
  advice: string,
  details: object = {},
): Error {
  const unit = limit === "rows" ? "rows" : "bytes";
  return apiError(
    limit === "rows" ? "TOO_MANY_ROWS" : "BODY_TOO_LARGE",
    `${what} has more than ${most} ${unit}: ${advice}, or raise server.batch.${limit} (${BATCH_VARIABLES[limit]}).`,
    { details: { ...details, limit: `server.batch.${limit}`, most } },
  );
}
