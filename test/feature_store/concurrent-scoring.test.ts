import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createFeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { declarations, paymentList } from "./payments.ts";

describe("scoring an event while it is being ingested", () => {
  it("gives for every row the exact value, or flags it", async () => {
    let flagged = 0;
    let exact = 0;
    await fc.assert(
      fc.asyncProperty(
        paymentList,
        fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 1 }),
        async (list, pauses) => {
          const online = memoryOnlineStore();
          const offline = memoryOfflineStore();
          const pipeline = createPipeline({ ...declarations, online, offline });
          await pipeline.recover();
          pipeline.memory("payments").end();
          await pipeline.start();
          const store = createFeatureStore({ ...declarations, online, offline, now: () => 0 });
          try {
            const events = [...list].sort((a, b) => a.at - b.at);
            const scored = [];
            for (const [i, event] of events.entries()) {
              const ingested = pipeline.push("payments", [event]);
              // The read falls anywhere between the event's arrival and its last write.
              for (let turn = 0; turn < pauses[i % pauses.length]!; turn++) await new Promise(setImmediate);
              const row = { from: event.sender, to: event.receiver, asked: 1 };
              scored.push({
                row,
                time: event.at,
                read: await store.getOnlineFeatures("risk", { rows: [row], asOf: event.at }),
              });
              await ingested;
              await pipeline.finished();
            }
            const { readLookup } = store.service("risk");
            const rows = scored.map(({ row, time }) => ({ lookup: readLookup(row), time }));
            const history = await store.getHistoricalFeatures("risk", { rows });
            for (const [i, { read }] of scored.entries()) {
              if (read.headOverlap[0] === true) {
                flagged++;
                continue;
              }
              exact++;
              expect(read.rows[0]).toEqual(history.rows[i]);
              expect(read.statuses[0]).toEqual(history.statuses[i]);
            }
          } finally {
            await pipeline.close();
          }
        },
      ),
      { numRuns: 40 },
    );
    // Both happened, or the test would show nothing.
    expect(Math.min(flagged, exact)).toBeGreaterThan(0);
  });
});
