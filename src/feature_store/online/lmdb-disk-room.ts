import { statfsSync } from "node:fs";
import { storeError } from "../store-error.ts";

/** What a folder is opened with: lmdb maps its lock file, and the process dies if the disk cannot hold its pages. */
const OPEN_BYTES = 2 ** 20;
/** Left free by writes that grow the store, so that removals, marks and the next start go through. */
const RESERVED_BYTES = 8 * 2 ** 20;

/** Checks that there is room to open a store in a folder that is there. @throws `ONLINE_STORE_FULL` */
export function checkRoomToOpen(path: string): void {
  checkRoom(path, OPEN_BYTES, "is not opened");
}

/** Checks that there is room for a write that grows the store. @throws `ONLINE_STORE_FULL` */
export function checkRoomToGrow(path: string): void {
  checkRoom(path, RESERVED_BYTES, "does not grow");
}

function checkRoom(path: string, least: number, what: string): void {
  const { bavail, bsize } = statfsSync(path);
  const free = bavail * bsize;
  if (free >= least) return;
  throw storeError(
    "ONLINE_STORE_FULL",
    `The online store ${path} ${what}: the disk has ${free} bytes left, and ${least} are kept free. Free space; nothing of this was done, and nothing is lost.`,
    { kind: "operational", details: { path, free_bytes: free } },
  );
}
