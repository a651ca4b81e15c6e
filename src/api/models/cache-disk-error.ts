import type { MillraceError } from "../../definitions/errors.ts";
import { modelError } from "./model-errors.ts";

const WHY: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full: free some space, or have the data folder (MILLRACE_DATA) on a larger one",
  EDQUOT: "its user has used up the quota: raise it, or free some space",
  EROFS: "its file system is mounted read-only: have the data folder (MILLRACE_DATA) where it may be written",
  EACCES: "its user may not write there: change the folder's owner or rights",
  EPERM: "its user may not write there: change the folder's owner or rights",
  EIO: "the disk fails",
};

/** True for what this machine's disk refuses, where trying again does nothing. */
export function isDiskError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && String(error.code) in WHY;
}

/** True where room has to be made. */
export function isDiskFull(error: unknown): boolean {
  return isDiskError(error) && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

/** `MODEL_CACHE_UNAVAILABLE`, with what to do. */
export function diskFailure(error: NodeJS.ErrnoException, folder: string): MillraceError {
  return modelError("MODEL_CACHE_UNAVAILABLE", `Models cannot be kept in ${folder}: ${WHY[error.code!]}.`, {
    kind: "operational",
    cause: error,
    details: { folder, reason: error.code },
  });
}
