import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Meta } from "../../src/definitions/meta.ts";
import type { Value } from "../../src/definitions/value.ts";
import type { LoggedEvent } from "../../src/feature_engineering/engine/event-log.ts";
import { createHistoricalInputs, type HistoricalInputs } from "../../src/feature_store/historical-inputs.ts";
import { readHistory } from "../../src/feature_store/historical-reader.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { EventShare, LabelQuery, PointInTimeReader } from "../../src/feature_store/offline/point-in-time.ts";
import { createColumn } from "../../src/feature_store/offline/point-in-time.ts";
import { windowFolds } from "../../src/feature_store/window-folds.ts";
import {
  frameOf,
  labels,
  load,
  oracle,
  plain,
  plainOf,
  runtime,
  saleOf,
  sales,
  stream,
  table,
} from "./history-world.ts";

/** A reader in columns over a store without one, in shares of `shareEntities` entities. */
function columnar(store: Awaited<ReturnType<typeof memoryOfflineStore>>, shareEntities: number): PointInTimeReader {
  const columnsOf = { [table[Meta].name]: table, [stream[Meta].name]: stream, [plain[Meta].name]: plain };
  async function* events(query: LabelQuery): AsyncGenerator<EventShare> {
    const { columns } = columnsOf[query.source]![Meta];
    const indexOf = (name: string): number => columns.findIndex((column) => column.name === name);
    for (let first = 0; first < query.keys.length; first += shareEntities) {
      const keys = query.keys.slice(first, first + shareEntities);
      const found: LoggedEvent[] = [];
      const about = { source: query.source, keyColumns: query.keyColumns, keys, from: null, before: 1e15 };
      for await (const batch of store.history({ ...about, knowledge: "event_time" })) found.push(...batch);
      const idOf = (key: readonly Value[]): string => key.map(String).join();
      const entityOf = new Map(keys.map((key, i) => [idOf(key), first + i]));
      yield {
        count: found.length,
        entities: Int32Array.from(
          found,
          ({ row }) => entityOf.get(idOf(query.keyColumns.map((k) => row[indexOf(k)]!)))!,
        ),
        times: Float64Array.from(found, ({ eventTime }) => eventTime),
        orders: {
          versions: query.version === "none" ? null : found.map(({ version }) => version),
          ingestedAt: Float64Array.from(found, ({ ingestedAt }) => ingestedAt),
          hashes: Uint32Array.from(found.flatMap(({ hash0, hash1, hash2, hash3 }) => [hash0, hash1, hash2, hash3])),
        },
        columns: query.columns.map((name) => {
          const column = createColumn(columns[indexOf(name)]!.type, found.length);
          found.forEach(({ row }, i) => {
            column[i] = (row[indexOf(name)] ?? (column instanceof Float64Array ? Number.NaN : null)) as number;
          });
          return column;
        }),
      };
    }
  }
  return { events, latest: () => Promise.reject(new Error("not asked here")) };
}

const windowed = {
  ...runtime,
  lookups: runtime.lookups.filter(({ runtime: { layout } }) => layout.view.name !== "price"),
};
const bytesOf = ({ values, statuses }: HistoricalInputs): unknown => [
  values.map((column) => (column instanceof Float64Array ? Buffer.from(column.buffer).toString("hex") : column)),
  statuses.map((codes) => Buffer.from(codes.buffer).toString("hex")),
];

describe("windows computed on threads", () => {
  it("gives the oracle's values, the same to the bit with one, two and three threads and shares of any size", async () => {
    await fc.assert(
      fc.asyncProperty(sales, labels, fc.constantFrom(1, 2, 100), async (list, rows, shareEntities) => {
        await using store = memoryOfflineStore();
        for (const source of [table, stream, plain]) await load(store, source[Meta], list);
        const reader = { history: store.history, pointInTime: columnar(store, shareEntities) };
        const read = (threads: number): Promise<HistoricalInputs> =>
          readHistory(reader, windowed, frameOf(rows), "event_time", { threads, threadedFrom: 1 });
        const [one, two, three] = [await read(1), await read(2), await read(3)];
        expect(bytesOf(two)).toEqual(bytesOf(one));
        expect(bytesOf(three)).toEqual(bytesOf(one));
        const expected = oracle(list, rows, false);
        const plainly = plainOf(two);
        for (const { reads } of windowed.lookups) {
          for (const { slot } of reads) {
            expect(plainly.values[slot]).toEqual(expected.values[slot]);
            expect(plainly.statuses[slot]).toEqual(expected.statuses[slot]);
          }
        }
      }),
      { numRuns: 6, interruptAfterTimeLimit: 60_000 },
    );
  });

  it("gives the same to the bit where an entity has thousands of events", async () => {
    const list = fc.sample(saleOf(fc.constantFrom("a", "b", "c")), { numRuns: 6_000, seed: 11 });
    const rows = fc.sample(labels, { numRuns: 1, seed: 5 })[0]!;
    await using store = memoryOfflineStore();
    for (const source of [table, stream, plain]) await load(store, source[Meta], list);
    const reader = { history: store.history, pointInTime: columnar(store, 2) };
    const read = (threads: number): Promise<HistoricalInputs> =>
      readHistory(reader, windowed, frameOf(rows), "event_time", { threads, threadedFrom: 1 });
    expect(bytesOf(await read(3))).toEqual(bytesOf(await read(1)));
  });

  const none = { starts: Int32Array.of(0, 1), rows: Int32Array.of(0), times: Float64Array.of(10) };
  const one = {
    count: 1,
    entities: Int32Array.of(0),
    times: Float64Array.of(1),
    inputs: [],
    wheres: [],
    orders: null,
  };
  const found = { ageMs: Number.POSITIVE_INFINITY, windows: [] };
  const feature = { squares: false, input: -1, where: -1, windowMs: null, hopMs: 0, ttlMs: null, default: undefined };
  const output = (): HistoricalInputs => createHistoricalInputs([{ kind: "int32", nullable: false }], 1);

  it("throws what a thread threw, with its code, and ends", async () => {
    const folds = windowFolds({ threads: 2, threadedFrom: 0 });
    const plan = { features: [{ ...feature, aggregation: { name: "min", input: null } as never }], found };
    await folds.add(plan, one, none, output());
    await expect(folds.finish()).rejects.toMatchObject({ code: "INVALID_AGGREGATION" });
    await folds.close();
    await expect(folds.add(plan, one, none, output())).rejects.toMatchObject({ code: "INVALID_AGGREGATION" });
  });

  it("stops at once when it is aborted or closed, whatever the threads do", async () => {
    const plan = { features: [{ ...feature, aggregation: { name: "count" } as never }], found };
    const abort = new AbortController();
    const folds = windowFolds({ threads: 2, threadedFrom: 0, signal: abort.signal });
    await folds.add(plan, one, none, output());
    abort.abort(new DOMException("enough", "AbortError"));
    await expect(folds.finish()).rejects.toMatchObject({ name: "AbortError" });
    await expect(folds.add(plan, one, none, output())).rejects.toMatchObject({ name: "AbortError" });
    await folds.close();

    const closed = windowFolds({ threads: 2, threadedFrom: 0 });
    await closed.add(plan, one, none, output());
    const finished = closed.finish();
    finished.catch(() => {});
    await closed.close();
    await expect(finished).rejects.toMatchObject({ code: "HISTORY_CLOSED" });
  });
});
