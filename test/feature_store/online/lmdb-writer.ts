import { parentPort, workerData } from "node:worker_threads";
import { lmdbOnlineStore } from "../../../src/feature_store/online/lmdb-online-store.ts";

/**
 * Writes rounds of values through a store of its own, as a worker thread or a process: in round r, every value is r
 * repeated. It tells the round after it was written.
 */
export const ROUND_VALUES = 100;
export const ROUND_BYTES = 600;

interface Orders {
  readonly path: string;
  readonly rounds: number;
}

async function write({ path, rounds }: Orders): Promise<void> {
  const tell = (round: number): void => {
    if (parentPort !== null) parentPort.postMessage(round);
    else process.send?.(round);
  };
  const store = await lmdbOnlineStore({ path });
  const keys = Array.from({ length: ROUND_VALUES }, (_, index) => ({
    keyspace: "shared",
    key: new TextEncoder().encode(`entity-${index}`),
  }));
  for (let round = 1; round <= rounds; round++) {
    const current = await store.read(keys);
    const bytes = new Uint8Array(ROUND_BYTES).fill(round);
    const done = await store.compareAndSet(
      keys.map((key, index) => ({ ...key, expectedRevision: current[index]?.revision ?? 0, bytes })),
    );
    if (!done.every(Boolean)) process.exitCode = 3;
    tell(round);
  }
  await store.close();
}

/** Adds 1 to a shared counter, again on every conflict. */
async function count({ path, rounds }: Orders): Promise<void> {
  const store = await lmdbOnlineStore({ path });
  const key = { keyspace: "shared", key: new TextEncoder().encode("counter") };
  for (let done = 0; done < rounds; ) {
    const [value] = await store.read([key]);
    const next = new Uint8Array(4);
    new DataView(next.buffer).setUint32(0, (value === null ? 0 : readCount(value!.bytes)) + 1);
    const [ok] = await store.compareAndSet([{ ...key, expectedRevision: value?.revision ?? 0, bytes: next }]);
    if (ok) done++;
  }
  await store.close();
}

export function readCount(bytes: Uint8Array): number {
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
}

const orders = (workerData ?? (process.argv[2] === undefined ? null : JSON.parse(process.argv[2]))) as
  | (Orders & { readonly task?: "write" | "count" })
  | null;
if (orders?.task === "write") await write(orders);
if (orders?.task === "count") await count(orders);
