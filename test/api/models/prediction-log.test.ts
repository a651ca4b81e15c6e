import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createPredictionLog } from "../../../src/api/models/prediction-log.ts";
import type { ModelMeta } from "../../../src/definitions/model.ts";
import { checkPredictions } from "../../../src/feature_store/check-predictions.ts";
import { createFeatureStore } from "../../../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../../../src/feature_store/offline/duckdb-offline-store.ts";
import { lmdbOnlineStore } from "../../../src/feature_store/online/lmdb-online-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { createPipeline } from "../../../src/pipeline/pipeline.ts";
import { declarations } from "../../feature_store/payments.ts";

const model = { name: "m", logSampleRate: 1, logRedact: [] as readonly string[] } as ModelMeta;

describe("the prediction log", () => {
  it("knows on the embedded stores what was applied, while the stream goes on", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-predictions-"));
    const online = await lmdbOnlineStore({ path: join(folder, "hot") });
    const offline = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
    const pipeline = createPipeline({ ...declarations, online, offline, maxBatch: 5 });
    const store = createFeatureStore({ ...declarations, online, offline, now: () => 0 });
    const log = createPredictionLog({
      online,
      write: (records) => offline.appendPredictions(records),
      onFailure: (error) => expect.fail(String(error)),
    });
    try {
      await pipeline.recover();
      await pipeline.start();
      for (let round = 0; round < 40; round++) {
        const at = round * 1_000;
        const payments = ["a", "b"].map((sender) => ({
          id: `${sender}${round}`,
          sender,
          receiver: "c",
          amount: round,
          cents: round,
          // Every third is late.
          at: round % 3 === 0 ? Math.max(0, at - 30_000) : at,
          arrived: at,
        }));
        const rows = ["a", "b", "nobody"].map((from) => ({ from, to: "c", asked: 1 }));
        const read = (asOf: number): Promise<unknown> =>
          store.getOnlineFeatures("risk", {
            rows,
            asOf,
            onRead: (found) =>
              log.offer(model, "1", [found], [{ p: 0 }, { p: 1 }, { p: 2 }], "id", log.choose(model, 3)),
          });
        if (round % 2 === 0) {
          // Nothing moves meanwhile: what was applied is known of every row.
          await pipeline.push("payments", payments, { readable: true });
          await read(at + 1);
          await log.flush();
          continue;
        }
        const pushed = pipeline.push("payments", payments, {});
        await read(at);
        await pushed;
      }
      await log.close();
      const report = await checkPredictions({ offline, store, filter: { limit: 1_000 } });
      expect(report).toMatchObject({ mismatches: 0, examples: [] });
      expect(report.predictions + report.skipped).toBe(120);
      expect(report.predictions).toBeGreaterThanOrEqual(60);
      expect(log.dropped).toBe(0);
    } finally {
      await pipeline.close();
      await online.close();
      await offline.close();
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("drops and counts what does not fit, and what cannot be written, and never fails a request", async () => {
    const online = memoryOnlineStore();
    const store = createFeatureStore({ ...declarations, online, offline: null, now: () => 0 });
    const failures: unknown[] = [];
    const log = createPredictionLog({
      online,
      write: () => Promise.reject(new TypeError("gone")),
      onFailure: (error) => failures.push(error),
      capacity: 3,
    });
    const rows = Array.from({ length: 5 }, () => ({ from: "a", to: "b", asked: 1 }));
    await store.getOnlineFeatures("risk", {
      rows,
      asOf: 1,
      onRead: (read) => log.offer(model, "1", [read], rows, "id", log.choose(model, rows.length)),
    });
    expect(log.dropped).toBe(2);
    await log.close();
    expect(log.dropped).toBe(5);
    expect(failures.length).toBe(1);
  });
});
