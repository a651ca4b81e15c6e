import type { StoredValue, ValueKey, ValueWrite } from "../../feature_engineering/engine/feature-sink.ts";
import { storeError } from "../store-error.ts";
import { markFacts } from "./applied-marks.ts";
import type { OnlineStore } from "./online-store.ts";

interface MemoryValue {
  readonly key: Uint8Array;
  readonly revision: number;
  readonly bytes: Uint8Array;
}

/** Values per batch of `scan`. */
const SCAN_BATCH = 512;

/**
 * An {@link OnlineStore} in this process's memory, the reference for the others: nothing survives the process.
 * Throws `ONLINE_STORE_UNAVAILABLE` after `close`.
 */
export function memoryOnlineStore(): OnlineStore {
  const keyspaces = new Map<string, Map<string, MemoryValue>>();
  const facts = new Map<string, string>();
  let closed = false;

  function checkOpen(): void {
    if (closed) throw storeError("ONLINE_STORE_UNAVAILABLE", "The memory online store is closed: open a new one.");
  }

  function readSync(keys: readonly ValueKey[]): (StoredValue | null)[] {
    checkOpen();
    return keys.map(({ keyspace, key }) => {
      const found = keyspaces.get(keyspace)?.get(textOf(key));
      return found === undefined ? null : { revision: found.revision, bytes: found.bytes.slice() };
    });
  }

  function readMetaSync(names: readonly string[]): (string | null)[] {
    checkOpen();
    return names.map((name) => facts.get(name) ?? null);
  }

  function write({ keyspace, key, expectedRevision, bytes }: ValueWrite): boolean {
    const text = textOf(key);
    const revision = keyspaces.get(keyspace)?.get(text)?.revision ?? 0;
    if (revision !== expectedRevision) return false;
    if (bytes !== null) {
      let values = keyspaces.get(keyspace);
      if (values === undefined) {
        values = new Map();
        keyspaces.set(keyspace, values);
      }
      values.set(text, { key: Uint8Array.from(key), revision: revision + 1, bytes: Uint8Array.from(bytes) });
    } else if (revision > 0) {
      const values = keyspaces.get(keyspace)!;
      values.delete(text);
      if (values.size === 0) keyspaces.delete(keyspace);
    }
    return true;
  }

  async function* scan(keyspace: string): ReturnType<OnlineStore["scan"]> {
    checkOpen();
    const texts = [...(keyspaces.get(keyspace)?.keys() ?? [])];
    for (let start = 0; start < texts.length; start += SCAN_BATCH) {
      const batch: { key: Uint8Array; value: StoredValue }[] = [];
      for (const text of texts.slice(start, start + SCAN_BATCH)) {
        const found = keyspaces.get(keyspace)?.get(text);
        if (found === undefined) continue;
        batch.push({ key: found.key.slice(), value: { revision: found.revision, bytes: found.bytes.slice() } });
      }
      if (batch.length > 0) yield batch;
      checkOpen();
    }
  }

  async function close(): Promise<void> {
    closed = true;
    keyspaces.clear();
    facts.clear();
  }

  return {
    capabilities: { persistent: false, multiProcess: false, syncReads: true, expires: false },
    shards: 1,
    shardOf: () => 0,
    readSync,
    readMetaSync,
    read: async (keys) => readSync(keys),
    fetch: async (keys, names) => ({ values: readSync(keys), facts: readMetaSync(names) }),
    async compareAndSet(writes) {
      checkOpen();
      return writes.map(write);
    },
    async durable() {
      checkOpen();
    },
    readMeta: async (names) => readMetaSync(names),
    async writeMeta(changes) {
      checkOpen();
      for (const [name, value] of changes) {
        if (value === null) facts.delete(name);
        else facts.set(name, value);
      }
    },
    async openSession() {
      checkOpen();
      return 0;
    },
    async checkSession() {
      checkOpen();
    },
    async mark(marks) {
      checkOpen();
      for (const [name, text] of markFacts.raise(marks, (fact) => facts.get(fact) ?? null)) facts.set(name, text);
    },
    async marks(keyspace) {
      return [markFacts.parse(readMetaSync([markFacts.nameOf(keyspace)])[0]!)];
    },
    scan,
    async keyspaces() {
      checkOpen();
      return [...keyspaces.keys()];
    },
    async dropKeyspace(keyspace) {
      checkOpen();
      facts.delete(markFacts.nameOf(keyspace));
      keyspaces.delete(keyspace);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** One character per byte: equal texts are equal keys. */
function textOf(key: Uint8Array): string {
  return Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString("latin1");
}
