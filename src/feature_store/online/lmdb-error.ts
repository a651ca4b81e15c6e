import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import { causeText, storeError } from "../store-error.ts";

/** MDB_MAP_FULL; ENOSPC, EDQUOT, EFBIG; EIO, which LMDB gives for a page that was written in part. */
const FULL: readonly unknown[] = [-30792, 28, 122, 27, 5];
/** MDB_INVALID, MDB_VERSION_MISMATCH, MDB_PANIC, MDB_CORRUPTED, MDB_PAGE_NOTFOUND. Source: lmdb.h. */
const CORRUPT: readonly unknown[] = [-30793, -30794, -30795, -30796, -30797];

/** Turns what lmdb throws into an error of this layer. */
export function lmdbError(cause: unknown, path: string): MillraceError {
  if (isMillraceError(cause)) return cause;
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const text = causeText(cause);
  const options = { cause, kind: "operational", details: { path } } as const;
  if (FULL.includes(code)) {
    return storeError(
      "ONLINE_STORE_FULL",
      `The online store ${path} cannot grow (${text}): the disk is full or failing; free space or raise its limit. Nothing of this write was done.`,
      options,
    );
  }
  if (CORRUPT.includes(code)) {
    return storeError(
      "ONLINE_STORE_CORRUPT",
      `The online store ${path} cannot be read (${text}): delete the folder; it is filled again from the offline store.`,
      options,
    );
  }
  return storeError(
    "ONLINE_STORE_UNAVAILABLE",
    `The online store ${path} cannot be used (${text}): it must be a folder that this process may write.`,
    options,
  );
}
