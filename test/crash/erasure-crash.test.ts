import { execFile } from "node:child_process";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../../src/feature_store/offline/duckdb-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { lmdbOnlineStore } from "../../src/feature_store/online/lmdb-online-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { createLifecycle, type Lifecycle } from "../../src/pipeline/lifecycle.ts";
import { createPipeline, type Pipeline } from "../../src/pipeline/pipeline.ts";
import { declarations, type Payment } from "../feature_store/payments.ts";

const CHILD = new URL("erase-child.ts", import.meta.url).pathname;
const lookups = ["a", "b", "c"].flatMap((from) => ["a", "b"].map((to) => ({ from, to, asked: 1 })));
const list: Payment[] = Array.from({ length: 30 }, (_, i) => ({
  id: `p${i}`,
  sender: "abc"[i % 3]!,
  receiver: "cab"[i % 2]!,
  amount: i,
  cents: i,
  at: i * 1_000,
  arrived: i * 1_000,
}));

interface Opened extends AsyncDisposable {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly store: FeatureStore;
  readonly lifecycle: Lifecycle;
  readonly pipeline: Pipeline;
}

/** Starts as a process does. */
async function open(folder: string): Promise<Opened> {
  const online = await lmdbOnlineStore({ path: join(folder, "hot") });
  const offline = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
  const store = createFeatureStore({ ...declarations, online, offline, now: Date.now });
  const pipeline = createPipeline({ ...declarations, online, offline });
  const current = (): { declarations: typeof declarations; store: FeatureStore } => ({ declarations, store });
  const lifecycle = createLifecycle({ online, offline, current, onFailure: () => {} });
  await lifecycle.beforeFill();
  await pipeline.recover();
  await lifecycle.afterFill();
  const close = async (): Promise<void> => {
    await lifecycle.close();
    await pipeline.close();
    await online.close();
    await offline.close();
  };
  return { online, offline, store, pipeline, lifecycle, [Symbol.asyncDispose]: close };
}

/** Whether the process was killed. */
function runChild(folder: string, steps: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [CHILD, folder, String(steps)], (error, stdout) => {
      if (error === null && stdout.includes("erased")) resolve(false);
      else if (error?.signal === "SIGKILL") resolve(true);
      else reject(error ?? new TypeError("The child said nothing."));
    });
  });
}

describe("an erasure that is killed", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-erase-"));
    await using filled = await open(join(folder, "filled"));
    filled.pipeline.memory("payments").push(list);
    filled.pipeline.memory("payments").end();
    await filled.pipeline.start();
    await filled.pipeline.finished();
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it("has not begun, or ends erased after a restart, at whatever step it is killed", async () => {
    let kills = 0;
    for (let killed = true; killed; kills++) {
      const data = join(folder, `killed-${kills}`);
      await cp(join(folder, "filled"), data, { recursive: true });
      killed = await runChild(data, kills);
      await using opened = await open(data);
      const { offline, store } = opened;
      const tombstones = await offline.tombstones();
      // Killed before the cold store's transaction: nothing happened, and whoever asked knows nothing else.
      if (kills > 0) expect(tombstones.map(({ pendingKey }) => pendingKey)).toEqual([null]);
      const { readLookup } = store.service("risk");
      const asOf = 30_001;
      const online = await store.getOnlineFeatures("risk", { rows: lookups, asOf });
      const history = await store.getHistoricalFeatures("risk", {
        rows: lookups.map((row) => ({ lookup: readLookup(row), time: asOf })),
      });
      expect(online.rows).toEqual(history.rows);
      expect(online.statuses).toEqual(history.statuses);
      const isThere = tombstones.length === 0;
      expect(online.statuses[0]![1]).toBe(isThere ? "PRESENT" : "NOT_FOUND");
      expect(online.statuses[2]![1]).toBe("PRESENT");
      // What was taken before comes again.
      await opened.pipeline.start();
      await opened.pipeline.push(
        "payments",
        list.map((payment) => ({ ...payment, id: `again-${payment.id}` })),
        {},
      );
      await opened.pipeline.drain();
      const again = await store.getOnlineFeatures("risk", { rows: lookups, asOf });
      expect(again.statuses[0]![1]).toBe(isThere ? "PRESENT" : "NOT_FOUND");
      expect(again.rows[2]![2]).toBe(20);
    }
    expect(kills).toBeGreaterThan(5);
  });
});
