import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import { causeText, storeError } from "../store-error.ts";

/** Turns what DuckDB throws, which has no codes, into an error of this layer. */
export function duckdbError(cause: unknown, path: string): MillraceError {
  if (isMillraceError(cause)) return cause;
  const text = causeText(cause);
  if (/could not set lock/i.test(text)) {
    const pid = /\(PID (\d+)\)/.exec(text)?.[1];
    return storeLocked(path, pid === undefined ? "another process" : `process ${pid}`, pid, cause);
  }
  const options = { cause, kind: "operational", details: { path } } as const;
  if (/not a valid duckdb|corrupt|checksum|could not read enough bytes|replaying wal|deserializ/i.test(text)) {
    return storeError(
      "OFFLINE_STORE_CORRUPT",
      `The offline store ${path} cannot be read: ${text} Restore the file from a backup; it is the only copy of its events.`,
      options,
    );
  }
  if (/out of memory/i.test(text)) {
    return storeError(
      "OFFLINE_STORE_UNAVAILABLE",
      `The offline store ${path} needs more memory than it may use: raise memoryLimitBytes, or lower threads. ${text}`,
      options,
    );
  }
  return storeError(
    "OFFLINE_STORE_UNAVAILABLE",
    `The offline store ${path} cannot be used: ${text} Its folder must exist, be writable and have room; then start again.`,
    options,
  );
}

export function storeLocked(path: string, holder: string, pid?: string, cause?: unknown): MillraceError {
  return storeError(
    "OFFLINE_STORE_LOCKED",
    `The offline store ${path} is open in ${holder}, and only one process may own it: stop that one, or let it do this work (over HTTP).`,
    { cause, kind: "operational", details: { path, ...(pid === undefined ? {} : { pid: Number(pid) }) } },
  );
}

export function storeClosed(path: string): MillraceError {
  return storeError("OFFLINE_STORE_UNAVAILABLE", `The offline store ${path} is closed: open a new one.`);
}
