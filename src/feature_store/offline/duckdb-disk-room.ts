import { statfsSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { storeError } from "../store-error.ts";

/** A new file of which only a part could be made would look like a broken one later. */
const MAKE_BYTES = 2 ** 20;
/**
 * Left free by commits, beside what merging `.wal` into the file may take: after a merge that failed, DuckDB refuses
 * everything until the process is started again.
 */
const RESERVED_BYTES = 16 * 2 ** 20;

/** Checks that there is room to make the file in a folder that is there. @throws `OFFLINE_STORE_UNAVAILABLE` */
export function checkRoomToMake(path: string, folder: string): void {
  checkRoom(path, folder, MAKE_BYTES);
}

/** Checks that there is room for a commit and for merging it into the file. @throws `OFFLINE_STORE_UNAVAILABLE` */
export function checkRoomToCommit(path: string): void {
  const log = statSync(`${path}.wal`, { throwIfNoEntry: false })?.size ?? 0;
  checkRoom(path, dirname(path), RESERVED_BYTES + log);
}

function checkRoom(path: string, folder: string, least: number): void {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= least) return;
  throw storeError(
    "OFFLINE_STORE_UNAVAILABLE",
    `The offline store ${path} takes nothing: the disk is full, with ${free} bytes left of the ${least} that it needs free. Free space; nothing of this was done, and nothing is lost.`,
    { kind: "operational", details: { path, free_bytes: free } },
  );
}
