import { describe, expect, it } from "vitest";
import { millraceError } from "../../src/definitions/errors.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import type { PartitionStatus } from "../../src/ingestion/channels.ts";
import { partitionBoard } from "../../src/pipeline/partition-board.ts";

const status = (partition: string, lagMessages: number): PartitionStatus => ({
  partition,
  lastOffset: 7,
  lastEventTime: 1_000,
  lagMessages,
  lagSeconds: 2,
});

async function storeWith(...partitions: readonly string[]): Promise<OfflineStore> {
  const offline = memoryOfflineStore();
  await offline.prepareSource({ source: "orders", columns: [], hasId: false, keys: [] });
  for (const partition of partitions) await offline.own("orders", partition);
  return offline;
}

describe("the board of a source's partitions", () => {
  it("shows all partitions to each process: its own as they are, the others' as they told", async () => {
    const offline = await storeWith("t:0", "t:10", "t:2", "t:3");
    const board = (): ReturnType<typeof partitionBoard> =>
      partitionBoard({ source: "orders", offline, shared: true, folds: [], now: () => Date.now() });
    await board().tell([status("t:2", 5)]);
    const seen = await board().all([status("t:0", 1), status("t:10", 0)]);
    expect(seen.map((p) => [p.partition, p.owner === null, p.lagMessages, p.committed])).toEqual([
      ["t:0", false, 1, -1],
      ["t:2", false, 5, -1],
      ["t:3", true, null, -1],
      ["t:10", false, 0, -1],
    ]);
    expect(seen[0]!.owner).toMatch(new RegExp(`:${process.pid}$`));
  });

  it("shows nobody for what was told long ago", async () => {
    const offline = await storeWith("t:0");
    let now = Date.now();
    const board = partitionBoard({ source: "orders", offline, shared: true, folds: [], now: () => now });
    await board.tell([status("t:0", 5)]);
    expect((await board.all([]))[0]).toMatchObject({ lagMessages: 5 });
    now += 31_000;
    expect((await board.all([]))[0]).toMatchObject({ owner: null, lagMessages: null });
  });

  it("shows what the process itself reads while the cold store is away", async () => {
    const offline = await storeWith("t:0", "t:1");
    const away: OfflineStore = {
      ...offline,
      partitions: () => Promise.reject(millraceError("OFFLINE_STORE_UNAVAILABLE", "gone", { kind: "operational" })),
    };
    const board = partitionBoard({ source: "orders", offline: away, shared: true, folds: [], now: () => 0 });
    expect(await board.all([status("t:0", 5)])).toMatchObject([
      { partition: "t:0", owner: expect.any(String), lagMessages: 5, committed: 7 },
    ]);
  });

  it("knows which partitions are read by a process that folds into the same views", async () => {
    const offline = await storeWith("t:0", "t:1", "t:2", "t:3");
    let now = Date.now();
    const board = (folds: readonly string[]): ReturnType<typeof partitionBoard> =>
      partitionBoard({ source: "orders", offline, shared: true, folds, now: () => now });
    await board(["a@1"]).tell([status("t:0", 5)]);
    const leaving = board(["a@1", "b@1"]);
    await leaving.tell([status("t:1", 5)]);
    const own = [status("t:2", 5)];
    expect([...(await board(["a@1"]).foldedByReader(own)).keys()].sort()).toEqual(["t:0", "t:1", "t:2"]);
    expect([...(await board(["a@1", "b@1"]).foldedByReader(own)).keys()].sort()).toEqual(["t:1", "t:2"]);
    await leaving.leave();
    expect([...(await board(["b@1"]).foldedByReader(own)).keys()]).toEqual(["t:2"]);
    now += 31_000;
    expect([...(await board(["a@1"]).foldedByReader(own)).keys()]).toEqual(["t:2"]);
    expect((await board([]).all([]))[0]).not.toHaveProperty("folds");
  });

  it("of a process that is alone writes nothing", async () => {
    const offline = await storeWith("t:0");
    await partitionBoard({ source: "orders", offline, shared: false, folds: [], now: () => 0 }).tell([
      status("t:0", 5),
    ]);
    expect(await offline.documents("partitions of orders")).toEqual([]);
  });
});
