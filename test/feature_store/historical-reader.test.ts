import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Meta } from "../../src/definitions/meta.ts";
import { readHistory } from "../../src/feature_store/historical-reader.ts";
import { openDuckdb } from "../../src/feature_store/offline/duckdb-database.ts";
import { duckdbEventReader } from "../../src/feature_store/offline/duckdb-event-reader.ts";
import { duckdbOfflineStore } from "../../src/feature_store/offline/duckdb-offline-store.ts";
import { duckdbPointInTime } from "../../src/feature_store/offline/duckdb-point-in-time.ts";
import { duckdbSources } from "../../src/feature_store/offline/duckdb-sources.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import {
  frameOf,
  type Label,
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

describe("reading history", () => {
  it("gives the oracle's values and statuses: by folding, and from columns in shares of any size", async () => {
    await fc.assert(
      fc.asyncProperty(sales, labels, async (list, rows) => {
        const folder = await mkdtemp(join(tmpdir(), "millrace-history-"));
        try {
          const path = join(folder, "cold.duckdb");
          await using generic = memoryOfflineStore();
          {
            await using store = await duckdbOfflineStore({ path, threads: 2 });
            for (const source of [table, stream, plain]) {
              await load(store, source[Meta], list);
              await load(generic, source[Meta], list);
            }
          }
          const frame = frameOf(rows);
          const expected = oracle(list, rows, false);
          expect(plainOf(await readHistory(generic, runtime, frame, "event_time"))).toEqual(expected);
          const arrived = oracle(list, rows, true);
          expect(plainOf(await readHistory(generic, runtime, frame, "ingested_at"))).toEqual(arrived);
          const database = await openDuckdb({ path });
          try {
            const known = await duckdbSources(database);
            const { history } = duckdbEventReader(database, known);
            for (const options of [{}, { shareEvents: 4, maxTies: 1 }]) {
              const pointInTime = duckdbPointInTime(database, known, options);
              expect(plainOf(await readHistory({ history, pointInTime }, runtime, frame, "event_time"))).toEqual(
                expected,
              );
              expect(plainOf(await readHistory({ history, pointInTime }, runtime, frame, "ingested_at"))).toEqual(
                arrived,
              );
            }
          } finally {
            await database.close();
          }
        } finally {
          await rm(folder, { recursive: true, force: true });
        }
      }),
      { numRuns: 40, interruptAfterTimeLimit: 60_000 },
    );
  });

  it("gives the oracle's values where windows hold thousands of events", async () => {
    const list = fc.sample(saleOf(fc.constant("a")), { numRuns: 5_000, seed: 7 });
    const rows: Label[] = [30_500, 400_000, 600_000, 600_001, 890_123].map((time) => ({ shop: "a", city: 1n, time }));
    const folder = await mkdtemp(join(tmpdir(), "millrace-history-"));
    try {
      await using store = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
      for (const source of [table, stream, plain]) await load(store, source[Meta], list);
      expect(plainOf(await readHistory(store, runtime, frameOf(rows), "event_time"))).toEqual(
        oracle(list, rows, false),
      );
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
