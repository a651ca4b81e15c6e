/**
 * What the embedded stores do per second, one process: npx node benchmarks/stores.ts [--rows 5000000]
 *
 * LMDB: single and batched reads of 400-byte values by one thread, compare-and-set in batches of 1,000.
 * DuckDB: commits of ten payload columns with declared event ids (everything included: epoch check, id check, log,
 * flush to disk), small commits, the id check on a grown history, and reading it back.
 */
import { mkdtemp, rm, stat } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Value } from "../src/definitions/value.ts";
import type { LoggedEvent, OwnedPartition } from "../src/feature_engineering/engine/event-log.ts";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import type { HistoryQuery, OfflineStore, SourceTable } from "../src/feature_store/offline/offline-store.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";

const { values: options } = parseArgs({ options: { rows: { type: "string", default: "5000000" } } });
const ROWS = Number(options.rows);
/** The number of the next event, and the offset of the last. */
let next = 0;
let offset = -1;
const folder = await mkdtemp(join(tmpdir(), "millrace-stores-"));
console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`);
try {
  await benchmarkLmdb();
  await benchmarkDuckdb();
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function benchmarkLmdb(): Promise<void> {
  console.log("\nLMDB, 100,000 values of 400 bytes");
  await using store = await lmdbOnlineStore({ path: join(folder, "online") });
  const keys = Array.from({ length: 100_000 }, (_, index) => ({
    keyspace: "user_spend@3f2a91",
    key: new TextEncoder().encode(`user-${index}`),
  }));
  const bytes = new Uint8Array(400).fill(7);
  for (const revision of [0, 1, 2]) {
    const times: number[] = [];
    for (let start = 0; start < keys.length; start += 1_000) {
      const writes = keys.slice(start, start + 1_000).map((key) => ({ ...key, expectedRevision: revision, bytes }));
      const started = performance.now();
      await store.compareAndSet(writes);
      times.push(performance.now() - started);
    }
    report(`compare-and-set of 1,000, ${revision === 0 ? "new" : "again"}, ms`, times);
  }
  const order = Array.from({ length: 300_000 }, () => keys[Math.floor(Math.random() * keys.length)]!);
  for (const batch of [1, 10, 100]) {
    const rates: number[] = [];
    for (let round = 0; round < 5; round++) {
      const started = performance.now();
      if (batch === 1) for (const key of order) store.readSync!([key]);
      else for (let start = 0; start < order.length; start += batch) store.readSync!(order.slice(start, start + batch));
      rates.push((order.length / (performance.now() - started)) * 1_000);
    }
    report(`values read per second, ${batch} at a time`, rates);
  }
  const durable: number[] = [];
  for (let round = 0; round < 50; round++) {
    const write = { ...keys[round]!, expectedRevision: 3, bytes };
    const started = performance.now();
    await store.compareAndSet([write]);
    await store.durable();
    durable.push(performance.now() - started);
  }
  report("one compare-and-set and durable(), ms", durable);
}

async function benchmarkDuckdb(): Promise<void> {
  const path = join(folder, "offline.duckdb");
  await using store = await duckdbOfflineStore({ path });
  const table = paymentsTable();
  await store.prepareSource(table);
  const owned = await store.own("payments", "0");

  for (const size of [2_000, 5_000]) {
    console.log(`\nDuckDB, commits of ${size} events of ten columns, up to ${size === 5_000 ? ROWS : 500_000} rows`);
    const until = size === 5_000 ? ROWS : 500_000;
    const times: number[] = [];
    let busy = 0;
    const started = performance.now();
    const first = next;
    while (next < until) {
      const events = makeEvents(owned, size);
      const begun = performance.now();
      const usage = performance.eventLoopUtilization();
      await commit(store, owned, events);
      busy += performance.eventLoopUtilization(usage).active;
      times.push(performance.now() - begun);
    }
    const committing = times.reduce((sum, time) => sum + time, 0);
    report("ms per commit", times);
    console.log(`  events per second of commit time: ${Math.round(((next - first) / committing) * 1_000)}`);
    console.log(`  with making the events: ${Math.round(((next - first) / (performance.now() - started)) * 1_000)}`);
    console.log(`  the calling thread was busy for ${Math.round((busy / committing) * 100)} % of it`);
  }
  const { size } = await stat(path);
  console.log(
    `  ${next} events take ${Math.round(size / 2 ** 20)} MB, resident ${Math.round(process.memoryUsage().rss / 2 ** 20)} MB`,
  );

  console.log(`\nDuckDB, on ${next} rows`);
  for (const size of [1, 10, 100]) {
    const times: number[] = [];
    for (let round = 0; round < 300; round++) {
      const events = makeEvents(owned, size);
      const begun = performance.now();
      await commit(store, owned, events);
      times.push(performance.now() - begun);
    }
    report(`commit of ${size}, ms`, times);
  }
  const newest = offset;
  for (const [name, known] of [
    ["recent", next - 20_000],
    ["old", 100_000],
  ] as const) {
    const times: number[] = [];
    for (let round = 0; round < 20; round++) {
      const events = makeEvents(owned, 5_000, known - 50);
      const begun = performance.now();
      await commit(store, owned, events);
      times.push(performance.now() - begun);
    }
    report(`commit of 5,000 known ids (${name}), ms`, times);
  }
  const applied: number[] = [];
  for (let round = 0; round < 200; round++) {
    const begun = performance.now();
    await store.setApplied([{ viewVersion: "v", partitionId: owned.partitionId, offset: round }]);
    applied.push(performance.now() - begun);
  }
  report("setApplied alone, ms", applied);

  const all: HistoryQuery = {
    source: "payments",
    keyColumns: ["user_id"],
    keys: null,
    from: null,
    before: null,
    knowledge: "event_time",
  };
  await readAll("history of everything", store.history(all));
  const keys = Array.from({ length: 10_000 }, (_, index) => [`user-${index * 5}`]);
  await readAll("history of 10,000 of 50,000 keys", store.history({ ...all, keys }));
  await readAll("history of one key", store.history({ ...all, keys: [["user-77"]] }));
  await readAll("read by offset, all", store.read("payments", owned.partitionId, -1, next));
  await readAll("read by offset, the last 10,000", store.read("payments", owned.partitionId, newest - 10_000, newest));

  const opened = performance.now();
  await store.close();
  const closed = performance.now();
  await using again = await duckdbOfflineStore({ path });
  await again.partitions("payments");
  console.log(`  close ${Math.round(closed - opened)} ms, open ${Math.round(performance.now() - closed)} ms`);
  const taken = await again.own("payments", "0");
  const begun = performance.now();
  await commit(again, taken, makeEvents(taken, 10));
  console.log(`  the first commit after opening (loads the known ids) ${Math.round(performance.now() - begun)} ms`);
}

function paymentsTable(): SourceTable {
  const type = (kind: "string" | "float64" | "int64" | "int32" | "bool" | "timestamp") => ({ kind, nullable: true });
  return {
    source: "payments",
    hasId: true,
    columns: [
      { name: "payment_id", type: type("string") },
      { name: "user_id", type: type("string") },
      { name: "amount", type: type("float64") },
      { name: "merchant", type: type("string") },
      { name: "country", type: type("string") },
      { name: "items", type: type("int32") },
      { name: "card", type: type("int64") },
      { name: "online", type: type("bool") },
      { name: "shipped_at", type: type("timestamp") },
      { name: "lat", type: type("float64") },
    ],
  };
}

/** Payments at ten a second, slightly out of order; from `known` on, if given, under ids that were used before. */
function makeEvents(owned: OwnedPartition, count: number, known?: number): LoggedEvent[] {
  return Array.from({ length: count }, (_, index) => {
    const n = known === undefined ? next++ : known + index;
    const random = Math.imul(n, 0x9e3779b1) >>> 0;
    const id = `payment-${n.toString(36).padStart(10, "0")}`;
    const eventTime = 1_700_000_000_000 + n * 100 - (random % 5_000);
    const row: Value[] = [
      id,
      `user-${random % 50_000}`,
      (random % 100_000) / 100,
      `merchant number ${random % 1_000}`,
      ["DE", "FR", "US", "JP"][random % 4]!,
      random % 10,
      BigInt(random),
      random % 2 === 0,
      random % 3 === 0 ? null : eventTime + 86_400_000,
      (random % 180_000) / 1_000 - 90,
    ];
    return {
      partitionId: owned.partitionId,
      offset: ++offset,
      eventTime,
      version: null,
      ingestedAt: eventTime + 300,
      hash0: random,
      hash1: Math.imul(random, 3) >>> 0,
      hash2: Math.imul(random, 5) >>> 0,
      hash3: Math.imul(random, 7) >>> 0,
      id,
      row,
    };
  });
}

async function commit(store: OfflineStore, partition: OwnedPartition, events: readonly LoggedEvent[]): Promise<void> {
  await store.commit({ partition, events, deadLetters: [], lastOffset: events.at(-1)!.offset });
}

async function readAll(name: string, batches: AsyncIterable<readonly LoggedEvent[]>): Promise<void> {
  const started = performance.now();
  let first = 0;
  let count = 0;
  let rss = 0;
  for await (const batch of batches) {
    if (count === 0) first = performance.now() - started;
    count += batch.length;
    rss = Math.max(rss, process.memoryUsage.rss());
  }
  const took = performance.now() - started;
  console.log(
    `  ${name}: ${count} events in ${Math.round(took)} ms (${Math.round((count / took) * 1_000)}/s), the first after ${Math.round(first)} ms, resident up to ${Math.round(rss / 2 ** 20)} MB`,
  );
}

function report(name: string, values: readonly number[]): void {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): string => {
    const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
    return value >= 1_000 ? String(Math.round(value)) : value.toFixed(2);
  };
  console.log(`  ${name}: median ${at(0.5)}, from ${at(0)} to ${at(1)}, 99 % ${at(0.99)}`);
}
