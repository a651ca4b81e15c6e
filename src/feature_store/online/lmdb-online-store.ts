import type { StoredValue, ValueKey, ValueWrite } from "../../feature_engineering/engine/feature-sink.ts";
import { storeError } from "../store-error.ts";
import { markFacts } from "./applied-marks.ts";
import { checkRoomToGrow } from "./lmdb-disk-room.ts";
import { type LmdbEnvironment, type LmdbOnlineStoreOptions, openLmdb } from "./lmdb-environment.ts";
import { lmdbError } from "./lmdb-error.ts";
import { lmdbTransaction } from "./lmdb-transaction.ts";
import { keyspaceStart, splitFullKey, type ValueAddress, valueAddress, withFullKey } from "./lmdb-value-address.ts";
import type { OnlineStore } from "./online-store.ts";
import { pooledCopy } from "./pooled-copy.ts";

export type { LmdbOnlineStoreOptions };

/** Writes per transaction; LMDB slows down with very many dirty pages. */
const WRITES_PER_TRANSACTION = 4_096;
/** Values per batch of `scan`. */
const SCAN_BATCH = 512;
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
/** Where the next free keyspace number is kept. */
const NEXT = new Uint8Array([0]);

/**
 * An {@link OnlineStore} in an LMDB folder: reads take microseconds and never leave the thread. Several threads and
 * processes may have the folder open at once, each through its own store; a read sees every write that was done before
 * it, whoever did it. A batch of writes is one transaction (per 4,096) and is flushed to disk when it returns.
 *
 * Close a store before its worker thread is terminated: a thread that ends inside a transaction blocks the others.
 *
 * Throws `ONLINE_STORE_UNAVAILABLE` (not a writable folder, `lmdb` not installed, closed, read-only),
 * `ONLINE_STORE_CORRUPT` and `ONLINE_STORE_FULL`.
 */
export async function lmdbOnlineStore(options: LmdbOnlineStoreOptions): Promise<OnlineStore> {
  const { path, readOnly = false, mapSizeBytes = Number.POSITIVE_INFINITY } = options;
  const environment: LmdbEnvironment = await openLmdb(options);
  const { root, values, keyspaces, facts, lastVersion } = environment;
  /** Numbers are given once and never change, so what is known stays right whatever other processes do. */
  const keyspaceIds = new Map<string, number>();
  let closed = false;

  function checkOpen(): void {
    if (closed) throw storeError("ONLINE_STORE_UNAVAILABLE", `The online store ${path} is closed: open a new one.`);
  }

  function guard<Result>(run: () => Result): Result {
    checkOpen();
    try {
      return run();
    } catch (cause) {
      throw lmdbError(cause, path);
    }
  }

  /** Runs in one transaction; nothing is written if `run` throws. It returns whether it put anything. */
  function transaction(run: () => boolean): void {
    if (readOnly) {
      throw storeError("ONLINE_STORE_UNAVAILABLE", `The online store ${path} was opened read-only: open it to write.`);
    }
    guard(() =>
      lmdbTransaction(root, values, path, () => {
        const grows = run();
        if (grows && mapSizeBytes !== Number.POSITIVE_INFINITY) checkSize();
      }),
    );
  }

  function checkSize(): void {
    const stats = values.getStats();
    const bytes = stats.pageSize * (stats.treeBranchPageCount + stats.treeLeafPageCount + stats.overflowPages);
    if (bytes <= mapSizeBytes) return;
    throw storeError(
      "ONLINE_STORE_FULL",
      `The online store ${path} may hold ${mapSizeBytes} bytes and would take ${bytes}: raise mapSizeBytes; nothing of this write was done.`,
      { kind: "operational", details: { path } },
    );
  }

  function keyspaceId(keyspace: string): number | undefined {
    const known = keyspaceIds.get(keyspace);
    if (known !== undefined) return known;
    const id = readNumber(keyspaces.getBinaryFast(nameKey(keyspace)));
    if (id !== undefined) keyspaceIds.set(keyspace, id);
    return id;
  }

  /** Within a transaction, which may still fail: so the number is not remembered. */
  function newKeyspaceId(keyspace: string): number {
    const id = readNumber(keyspaces.getBinaryFast(NEXT)) ?? 1;
    keyspaces.put(NEXT, numberBytes(id + 1));
    keyspaces.put(nameKey(keyspace), numberBytes(id));
    return id;
  }

  function get(address: ValueAddress, fullKey: Uint8Array): StoredValue | null {
    const found = values.getBinaryFast(address);
    if (found === undefined) return null;
    const revision = lastVersion();
    // The buffer is lmdb's own, longer than the value, and overwritten by the next read.
    const bytes = pooledCopy(found, found.length);
    if (!address.hashed) return { revision, bytes };
    const split = splitFullKey(bytes);
    return Buffer.compare(split.key, fullKey) === 0 ? { revision, bytes: split.bytes } : null;
  }

  function readSync(keys: readonly ValueKey[]): (StoredValue | null)[] {
    return guard(() => {
      // lmdb renews its snapshot once per turn of the event loop, which is too seldom for another thread's writes.
      values.resetReadTxn();
      const results = new Array<StoredValue | null>(keys.length);
      for (let index = 0; index < keys.length; index++) {
        const { keyspace, key } = keys[index]!;
        const id = keyspaceId(keyspace);
        results[index] = id === undefined ? null : get(valueAddress(id, key), key);
      }
      return results;
    });
  }

  function fact(name: string): string | null {
    const found = facts.getBinaryFast(nameKey(name));
    return found === undefined ? null : utf8.decode(pooledCopy(found, found.length));
  }

  function readMetaSync(names: readonly string[]): (string | null)[] {
    return guard(() => {
      if (names.length > 0) facts.resetReadTxn();
      return names.map(fact);
    });
  }

  function write({ keyspace, key, expectedRevision, bytes }: ValueWrite, created: Map<string, number>): boolean {
    let id = created.get(keyspace) ?? keyspaceId(keyspace);
    if (id === undefined) {
      if (expectedRevision !== 0) return false;
      if (bytes === null) return true;
      id = newKeyspaceId(keyspace);
      created.set(keyspace, id);
    }
    const address = valueAddress(id, key);
    const revision = values.getBinaryFast(address) === undefined ? 0 : lastVersion();
    if (revision !== expectedRevision) return false;
    if (bytes !== null) values.put(address, address.hashed ? withFullKey(key, bytes) : bytes, revision + 1);
    else if (revision > 0) values.remove(address);
    return true;
  }

  /** The addresses of a keyspace after one of them, at most `limit`. */
  function addresses(id: number, after: ValueAddress | null, limit: number): ValueAddress[] {
    const start = after ?? keyspaceStart(id);
    return [...values.getKeys({ start, end: keyspaceStart(id + 1), exclusiveStart: after !== null, limit })];
  }

  async function* scan(keyspace: string): ReturnType<OnlineStore["scan"]> {
    let last: ValueAddress | null = null;
    while (true) {
      const after: ValueAddress | null = last;
      const page: ValueAddress[] = guard(() => {
        values.resetReadTxn();
        const id = keyspaceId(keyspace);
        return id === undefined ? [] : addresses(id, after, SCAN_BATCH);
      });
      if (page.length === 0) return;
      last = page.at(-1)!;
      const batch = guard(() => page.flatMap(scanned));
      if (batch.length > 0) yield batch;
    }
  }

  function scanned(address: ValueAddress): { key: Uint8Array; value: StoredValue }[] {
    const found = values.getBinaryFast(address);
    if (found === undefined) return [];
    const revision = lastVersion();
    const bytes = pooledCopy(found, found.length);
    if (!address.hashed) return [{ key: address.key, value: { revision, bytes } }];
    const split = splitFullKey(bytes);
    return [{ key: split.key, value: { revision, bytes: split.bytes } }];
  }

  async function close(): Promise<void> {
    if (closed) return;
    closed = true;
    await root.close();
  }

  return {
    capabilities: { persistent: true, multiProcess: true, syncReads: true, expires: false, sorted: true },
    // One file, one writer at a time: what a crash may take is the newest transactions.
    shards: 1,
    shardOf: () => 0,
    readSync,
    readMetaSync,
    read: async (keys) => readSync(keys),
    fetch: async (keys, names) => ({ values: readSync(keys), facts: readMetaSync(names) }),
    async compareAndSet(writes) {
      const done: boolean[] = [];
      if (!readOnly && writes.some(({ bytes }) => bytes !== null)) guard(() => checkRoomToGrow(path));
      for (let start = 0; start < writes.length; start += WRITES_PER_TRANSACTION) {
        const created = new Map<string, number>();
        transaction(() => {
          const end = Math.min(writes.length, start + WRITES_PER_TRANSACTION);
          let grows = false;
          for (let index = start; index < end; index++) {
            done[index] = write(writes[index]!, created);
            grows ||= writes[index]!.bytes !== null;
          }
          return grows;
        });
      }
      return done;
    },
    durable() {
      checkOpen();
      if (readOnly) return Promise.resolve();
      return new Promise((resolve, reject) => {
        root.sync((error) => (error ? reject(lmdbError(error, path)) : resolve()));
      });
    },
    readMeta: async (names) => readMetaSync(names),
    async writeMeta(changes) {
      transaction(() => {
        for (const [name, value] of changes) {
          if (value === null) facts.remove(nameKey(name));
          else facts.put(nameKey(name), Buffer.from(value, "utf8"));
        }
        return false;
      });
    },
    async openSession() {
      checkOpen();
      return 0;
    },
    async checkSession() {
      checkOpen();
    },
    async mark(marks) {
      transaction(() => {
        for (const [name, text] of markFacts.raise(marks, fact)) facts.put(nameKey(name), Buffer.from(text, "utf8"));
        return false;
      });
    },
    async marks(keyspace) {
      return [markFacts.parse(readMetaSync([markFacts.nameOf(keyspace)])[0]!)];
    },
    scan,
    async keyspaces() {
      return guard(() => {
        values.resetReadTxn();
        const names = [...keyspaces.getKeys({ start: nameKey("") })].map((key) => utf8.decode(key.subarray(1)));
        // A keyspace keeps its number when its last value goes.
        return names.filter((name) => addresses(keyspaceId(name)!, null, 1).length > 0);
      });
    },
    async dropKeyspace(keyspace) {
      transaction(() => {
        facts.remove(nameKey(markFacts.nameOf(keyspace)));
        return false;
      });
      let left = true;
      while (left) {
        transaction(() => {
          const id = keyspaceId(keyspace);
          const page = id === undefined ? [] : addresses(id, null, WRITES_PER_TRANSACTION);
          for (const address of page) values.remove(address);
          left = page.length > 0;
          return false;
        });
        // Other work of this thread gets its turn between the transactions.
        await new Promise((resolve) => setImmediate(resolve));
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Never empty, which LMDB refuses, and never `NEXT`. */
function nameKey(name: string): Uint8Array {
  return Buffer.from(`:${name}`, "utf8");
}

function numberBytes(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function readNumber(bytes: Buffer | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes.readUInt32LE(0);
}
