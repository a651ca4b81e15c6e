import fc from "fast-check";
import { expect, it } from "vitest";
import type { LoggedEvent, OwnedPartition } from "../../src/feature_engineering/engine/event-log.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import type { DeadLetter } from "../../src/ingestion/stream-message.ts";
import { partitionRuns } from "../../src/pipeline/partition-runs.ts";

const END = 40;

async function store(): Promise<OfflineStore> {
  const offline = memoryOfflineStore();
  await offline.prepareSource({ source: "orders", columns: [], hasId: false, keys: [] });
  return offline;
}

const event = (partitionId: number, offset: number): LoggedEvent => {
  return { partitionId, offset, id: null, row: [], eventTime: 1, version: 0, ingestedAt: 1, payloadHash: "" } as never;
};

/** Reads up to `count` messages behind what is committed; those that `decodes` says no to are set aside. */
async function read(
  owned: OwnedPartition,
  { log }: ReturnType<typeof partitionRuns>,
  { count, decodes }: { readonly count: number; readonly decodes: (offset: number) => boolean },
): Promise<void> {
  const now = (await log.partitions("orders")).find(({ partitionId }) => partitionId === owned.partitionId)!;
  const offsets = Array.from({ length: count }, (_, i) => now.committed + 1 + i).filter((offset) => offset < END);
  if (offsets.length === 0) return;
  const letter = (offset: number): DeadLetter => {
    return { source: "orders", partition: "t:0", offset, code: "X", reason: "", bytes: new Uint8Array(), at: 0 };
  };
  const result = await log.commit({
    partition: owned,
    events: offsets.filter(decodes).map((offset) => event(owned.partitionId, offset)),
    deadLetters: offsets.filter((offset) => !decodes(offset)).map(letter),
    lastOffset: offsets.at(-1)!,
  });
  expect(result.inserted.every(({ offset }) => decodes(offset))).toBe(true);
}

/** Every offset in the cold store, as often as it is there. */
async function stored(offline: OfflineStore): Promise<number[]> {
  const found: number[] = [];
  for (const { partitionId, committed } of await offline.partitions("orders")) {
    for await (const events of offline.read("orders", partitionId, -1, committed)) {
      found.push(...events.map(({ offset }) => offset));
    }
  }
  return found.sort((a, b) => a - b);
}

it("keeps each position once, however often a partition is set back or forward, by whichever process", async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant("read" as const), count: fc.integer({ min: 1, max: 15 }) }),
    fc.record({ do: fc.constant("restart" as const), after: fc.integer({ min: -1, max: END - 1 }) }),
    fc.record({ do: fc.constant("take over" as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), fc.integer({ min: 1, max: 5 }), async (steps, every) => {
      const offline = await store();
      let runs = partitionRuns(offline, "orders");
      let owned = await runs.log.own("orders", "t:0");
      const decodes = (offset: number): boolean => offset % every !== 0;
      for (const one of steps) {
        if (one.do === "read") await read(owned, runs, { count: one.count, decodes });
        else {
          if (one.do === "restart") await runs.restart("t:0", one.after);
          runs = partitionRuns(offline, "orders");
          owned = await runs.log.own("orders", "t:0");
          if (one.do === "restart") expect(owned.committed).toBe(one.after);
        }
        const found = await stored(offline);
        expect(new Set(found).size).toBe(found.length);
      }
      // Once everything can be decoded, it is all there, and nothing is left set aside.
      await runs.restart("t:0", -1);
      owned = await runs.log.own("orders", "t:0");
      expect([owned.committed, owned.partition]).toEqual([-1, "t:0"]);
      await read(owned, runs, { count: END, decodes: () => true });
      expect(await stored(offline)).toEqual(Array.from({ length: END }, (_, i) => i));
      expect(await offline.deadLetters({ limit: 1_000 })).toEqual([]);
      expect((await runs.current()).map(({ partition, committed }) => [partition, committed])).toEqual([
        ["t:0", END - 1],
      ]);
    }),
    { numRuns: 200 },
  );
});

it("fences whoever reads a partition that is set back", async () => {
  const offline = await store();
  const reader = partitionRuns(offline, "orders");
  const owned = await reader.log.own("orders", "t:0");
  await read(owned, reader, { count: 10, decodes: () => true });
  await partitionRuns(offline, "orders").restart("t:0", 4);
  await expect(
    reader.log.commit({ partition: owned, events: [], deadLetters: [], lastOffset: 20 }),
  ).rejects.toMatchObject({ code: "PARTITION_FENCED" });
  expect(await reader.log.own("orders", "t:0")).toMatchObject({ partition: "t:0", committed: 4, cursor: "restarted" });
});

it("counts anew where a transport's positions are no numbers", async () => {
  const offline = await store();
  const runs = partitionRuns(offline, "orders");
  await read(await runs.log.own("orders", "t:0"), runs, { count: 10, decodes: () => true });
  await runs.restart("t:0", 0, "from noon");
  const owned = await runs.log.own("orders", "t:0");
  expect(owned).toMatchObject({ committed: 0, cursor: "from noon" });
  await read(owned, runs, { count: 3, decodes: () => true });
  expect((await stored(offline)).length).toBe(13);
});
