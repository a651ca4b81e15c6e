import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { BackfillJob, BackfillRequest } from "../../src/api/lifecycle-backend.ts";
import { createFeatureStore, type FeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { type Backfills, createBackfills } from "../../src/pipeline/backfills.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { declarations } from "../feature_store/payments.ts";

const lookups = ["s0", "s1", "s7"].map((from) => ({ from, to: "r", asked: 1 }));
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-backfill-"));
  const line = (i: number): string =>
    JSON.stringify({
      id: `f${i}`,
      sender: `s${i % 10}`,
      receiver: "r",
      amount: i,
      cents: i,
      at: new Date(i * 1_000).toISOString(),
      arrived: new Date(i * 1_000).toISOString(),
    });
  const lines = Array.from({ length: 300 }, (_, i) => line(i));
  await writeFile(join(folder, "payments.jsonl"), `${lines.join("\n")}\nnot json\n`);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

interface World {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  readonly store: FeatureStore;
}

async function newWorld(): Promise<World> {
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const pipeline = createPipeline({ ...declarations, online, offline });
  await pipeline.recover();
  await pipeline.close();
  return { online, offline, store: createFeatureStore({ ...declarations, online, offline, now: () => 0 }) };
}

function backfillsOf({ online, offline, store }: World): Backfills {
  const current = () => ({ views: [...store.views.values()], sources: declarations.sources });
  return createBackfills({ online, offline, current, now: Date.now });
}

async function ended(backfills: Backfills, { id }: BackfillJob): Promise<BackfillJob> {
  return expect
    .poll(async () => (await backfills.list()).find((job) => job.id === id)?.state, { timeout: 20_000 })
    .not.toBe("running")
    .then(async () => (await backfills.list()).find((job) => job.id === id)!);
}

/** As it is stored. */
async function state({ offline }: World): Promise<unknown> {
  const [document] = await offline.documents("backfill");
  return document === undefined ? null : (JSON.parse(document.json) as BackfillJob).state;
}

const load = (): BackfillRequest => ({
  kind: "backfill",
  views: null,
  source: "payments",
  files: [join(folder, "payments.jsonl")],
});

async function expectHistory({ store }: World): Promise<void> {
  const asOf = 300_001;
  const { readLookup } = store.service("risk");
  const online = await store.getOnlineFeatures("risk", { rows: lookups, asOf });
  const history = await store.getHistoricalFeatures("risk", {
    rows: lookups.map((row) => ({ lookup: readLookup(row), time: asOf })),
  });
  expect(online.rows).toEqual(history.rows);
  expect(online.rows.map((row) => row[2])).toEqual([30, 30, 30]);
}

describe("a backfill", () => {
  it("leaves the views of Beam's sources alone, and refuses them by name", async () => {
    const { online, offline, store } = await newWorld();
    const current = () => ({ views: [...store.views.values()], sources: declarations.sources });
    const backfills = createBackfills({ online, offline, current, beam: ["payments"], now: Date.now });
    await expect(backfills.start(load())).rejects.toMatchObject({ code: "SOURCE_OF_BEAM" });
    const request = { kind: "materialize", views: ["sent"], source: null, files: [] } as const;
    await expect(backfills.start(request)).rejects.toMatchObject({ code: "SOURCE_OF_BEAM" });
    const all = await backfills.start({ ...request, views: null });
    expect(all.views.map(({ view }) => view)).toEqual(
      [...store.views.values()]
        .map(({ layout }) => layout.view)
        .filter((view) => view.source.name !== "payments")
        .map((view) => view.name),
    );
    await backfills.close();
  });

  it("loads files into history and makes the values of the source's views of it, once", async () => {
    const world = await newWorld();
    const backfills = backfillsOf(world);
    const job = await ended(backfills, await backfills.start(load()));
    expect(job).toMatchObject({ state: "done", error: null, loaded: 300, deadLetters: 1, source: "payments" });
    expect(job.views).toEqual([
      { view: "milestones", entities: 10, total: 10, written: 10, unchanged: 0, done: true },
      { view: "received", entities: 1, total: 1, written: 1, unchanged: 0, done: true },
      { view: "sent", entities: 10, total: 10, written: 10, unchanged: 0, done: true },
    ]);
    await expectHistory(world);
    const again = await ended(backfills, await backfills.start(load()));
    expect(again).toMatchObject({ state: "failed", error: expect.stringContaining("already") });
    const request = { kind: "materialize", views: ["sent"], source: null, files: [] } as const;
    const materialized = await ended(backfills, await backfills.start(request));
    expect(materialized.views).toEqual([
      { view: "sent", entities: 10, total: 10, written: 0, unchanged: 10, done: true },
    ]);
    await backfills.close();
    // The next engine finds that nothing is to be done for what was loaded.
    const next = createPipeline({ ...declarations, online: world.online, offline: world.offline });
    await next.recover();
    await next.close();
    await expectHistory(world);
  });

  it("goes on after a kill, at whatever step, and ends the same", async () => {
    for (let steps = 0; ; steps++) {
      const world = await newWorld();
      let left = steps;
      const dying = <Args extends unknown[], R>(call: (...args: Args) => Promise<R>) => {
        return async (...args: Args): Promise<R> => {
          // A process that is gone answers nothing any more.
          if (left <= 0) return new Promise<R>(() => {});
          left--;
          return call(...args);
        };
      };
      const first = backfillsOf({
        ...world,
        online: { ...world.online, compareAndSet: dying(world.online.compareAndSet) },
        offline: {
          ...world.offline,
          commit: dying(world.offline.commit),
          putDocument: dying(world.offline.putDocument),
        },
      });
      void first.start(load());
      await expect.poll(async () => left <= 0 || (await state(world)) === "done", { timeout: 20_000 }).toBe(true);
      // Steps that were under way end.
      await new Promise((resolve) => setImmediate(resolve));
      if ((await state(world)) === "done") {
        expect(steps).toBeGreaterThan(6);
        break;
      }
      const second = backfillsOf(world);
      const job = await ended(second, await second.start(load()));
      expect(job).toMatchObject({ state: "done", error: null });
      await expectHistory(world);
      await second.close();
    }
  });

  it("that is stopped keeps no trace of whom it did last once it is done", async () => {
    const world = await newWorld();
    const backfills = backfillsOf(world);
    const job = await backfills.start(load());
    expect((await backfills.start(load())).id).toBe(job.id);
    const stopped = await backfills.stop(job.id);
    expect(["stopped", "done"]).toContain(stopped.state);
    const done = await ended(backfills, await backfills.start(load()));
    if (stopped.state === "stopped") expect(done.state).toBe("done");
    const [document] = await world.offline.documents("backfill");
    expect(document!.json).not.toContain("account:");
    await expect(backfills.stop("none")).rejects.toMatchObject({ code: "BACKFILL_UNKNOWN" });
    await backfills.close();
  });

  it("fails with a reason where a file cannot be read, and refuses what is not declared", async () => {
    const world = await newWorld();
    const backfills = backfillsOf(world);
    const job = await ended(backfills, await backfills.start({ ...load(), files: [join(folder, "none.csv")] }));
    expect(job).toMatchObject({ state: "failed", error: expect.stringContaining("none.csv") });
    await expect(backfills.start({ ...load(), views: ["none"] })).rejects.toMatchObject({ code: "VIEW_UNKNOWN" });
    await expect(backfills.start({ ...load(), source: "none" })).rejects.toMatchObject({ code: "SOURCE_UNKNOWN" });
    await backfills.close();
  });
});
