import { accessSync, closeSync, constants, mkdirSync, openSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import type { MillraceError } from "../../definitions/errors.ts";
import { storeError } from "../store-error.ts";
import { checkRoomToOpen } from "./lmdb-disk-room.ts";
import { lmdbError } from "./lmdb-error.ts";
import { lmdbTransaction } from "./lmdb-transaction.ts";
import { type ValueAddress, valueAddressEncoder } from "./lmdb-value-address.ts";

export interface LmdbOnlineStoreOptions {
  /** The folder, made if it is not there; it holds `data.mdb` and `lock.mdb`. */
  readonly path: string;
  /** The most that live data may take, bytes; the file gets somewhat larger. Default: what the disk holds. */
  readonly mapSizeBytes?: number;
  /** Refuses writes, and a folder that holds no store. Default false. */
  readonly readOnly?: boolean;
}

/** The part of an lmdb database that the adapter uses; its own types know no keys such as addresses. */
export interface LmdbDatabase<Key> {
  getBinaryFast(key: Key): Buffer | undefined;
  put(key: Key, bytes: Uint8Array, version?: number): unknown;
  remove(key: Key): unknown;
  getKeys(range: LmdbRange<Key>): Iterable<Key>;
  transactionSync(run: () => void, flags: number): void;
  resetReadTxn(): void;
  getStats(): LmdbStats;
}

export interface LmdbRange<Key> {
  start?: Key;
  end?: Key;
  exclusiveStart?: boolean;
  limit?: number;
}

interface LmdbStats {
  readonly pageSize: number;
  readonly treeBranchPageCount: number;
  readonly treeLeafPageCount: number;
  readonly overflowPages: number;
}

export interface LmdbRoot extends LmdbDatabase<Uint8Array> {
  readonly env: {
    info(): { readonly lastPageNumber: number; readonly lastTxnId: number };
    /** Of the transaction that is under way. */
    getWriteTxnId(): number;
  };
  openDB(name: string, options: Readonly<Record<string, unknown>>): unknown;
  sync(done: (error: unknown) => void): void;
  close(): Promise<void>;
}

export interface LmdbEnvironment {
  readonly root: LmdbRoot;
  /** Packed values with their revisions. */
  readonly values: LmdbDatabase<ValueAddress>;
  /** The number of each keyspace by its name, and under `NEXT` the next free one. */
  readonly keyspaces: LmdbDatabase<Uint8Array>;
  readonly facts: LmdbDatabase<Uint8Array>;
  /** The version of the value that was read last in this thread. */
  readonly lastVersion: () => number;
}

/** Virtual address space only: the file grows as needed, and the map with it. */
const INITIAL_MAP_BYTES = 2 ** 30;
const PAGE_BYTES = 4096;
/** Of the two meta pages at the start of the file. Source: lmdb 3.5's mdb.c, MDB_meta. */
const LMDB_MAGIC = 0xbeefc0de;
const LMDB_DATA_VERSION = 2;

/** Opens the folder and its databases, whose names carry the version of their layout. */
export async function openLmdb({ path, readOnly = false }: LmdbOnlineStoreOptions): Promise<LmdbEnvironment> {
  const lmdb = await import("lmdb").catch((cause: unknown) => {
    throw storeError(
      "ONLINE_STORE_UNAVAILABLE",
      "The LMDB online store needs the package 'lmdb', which cannot be loaded: npm install lmdb.",
      { cause },
    );
  });
  if (readOnly && fileSize(path) === 0) {
    throw storeError(
      "ONLINE_STORE_UNAVAILABLE",
      `There is no online store in ${path} to be opened read-only: start a process that writes it first.`,
    );
  }
  let root: LmdbRoot | undefined;
  try {
    checkFiles(path);
    checkRoomToOpen(path);
    // The cast leaves lmdb's class types, which do not know `env`, `sync` and keys of other shapes.
    root = lmdb.open({
      path,
      noSubdir: false,
      maxDbs: 8,
      maxReaders: 512,
      pageSize: PAGE_BYTES,
      mapSize: INITIAL_MAP_BYTES,
      encoding: "binary",
      keyEncoding: "binary",
      // LMDB's own read-only mode would hold for the whole process, whose writer may be another thread.
    }) as unknown as LmdbRoot;
    // Reading a page beyond the end of the file would kill the process. The file only grows: it is measured last.
    const bytes = (root.env.info().lastPageNumber + 1) * PAGE_BYTES;
    if (fileSize(path) < bytes) {
      throw corrupt(path, "its file was cut short");
    }
    // This opening may have taken others' newest transactions back.
    lmdbTransaction(root, root, path, () => {});
    const create = !readOnly;
    const named = <Key>(name: string, options: object): LmdbDatabase<Key> => {
      const opened = root!.openDB(name, { encoding: "binary", create, ...options });
      if (opened !== undefined) return opened as LmdbDatabase<Key>;
      throw storeError("ONLINE_STORE_UNAVAILABLE", `${path} holds no online store of this version of Millrace.`);
    };
    return {
      root,
      values: named("values_1", { keyEncoder: valueAddressEncoder, useVersions: true }),
      keyspaces: named("keyspaces_1", { keyEncoding: "binary" }),
      facts: named("facts_1", { keyEncoding: "binary" }),
      lastVersion: lmdb.getLastVersion,
    };
  } catch (cause) {
    await root?.close().catch(() => {});
    throw lmdbError(cause, path);
  }
}

/** Finds what lmdb would answer with the end of the process: it does not survive a failure to open. */
function checkFiles(path: string): void {
  mkdirSync(path, { recursive: true });
  accessSync(path, constants.R_OK | constants.W_OK | constants.X_OK);
  if (fileSize(path) === 0) return;
  const file = openSync(join(path, "data.mdb"), "r+");
  try {
    const head = Buffer.alloc(2 * PAGE_BYTES);
    readSync(file, head, 0, head.length, 0);
    for (const page of [0, PAGE_BYTES]) {
      const magic = head.readUInt32LE(page + 24);
      const version = head.readUInt16LE(page + 28);
      if (magic !== LMDB_MAGIC || version !== LMDB_DATA_VERSION) throw corrupt(path, "its file is no LMDB file");
    }
  } finally {
    closeSync(file);
  }
}

function corrupt(path: string, why: string): MillraceError {
  return storeError(
    "ONLINE_STORE_CORRUPT",
    `The online store ${path} cannot be read (${why}): delete the folder; it is filled again from the offline store.`,
    { kind: "operational", details: { path } },
  );
}

function fileSize(path: string): number {
  try {
    return statSync(join(path, "data.mdb")).size;
  } catch {
    return 0;
  }
}
