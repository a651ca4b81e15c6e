import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FoldEngine } from "../../../src/feature_engineering/engine/fold-engine.ts";
import { metaNames } from "../../../src/feature_engineering/engine/meta-names.ts";
import type { OfflineStore } from "../../../src/feature_store/offline/offline-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import { losingServer } from "../../feature_store/online/losing-online-store.ts";
import { attempt, compareWithOracle, messagesOf, paymentsEngine, paymentsLog, sent, views } from "./payments-world.ts";

const SHARDS = 3;

/** What happens between two batches, or within the next ones. */
const mishap = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ what: "nothing" as const, shard: 0, writes: 0, after: 0 }) },
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constantFrom("lose" as const, "lose during" as const),
      shard: fc.nat(SHARDS - 1),
      writes: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.constant(10_000)),
      after: fc.nat(25),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      what: fc.constantFrom("crash" as const, "tend" as const, "flush" as const),
      shard: fc.nat(1),
      writes: fc.constant(0),
      after: fc.constant(0),
    }),
  },
);

async function startEngine(online: OnlineStore, offline: OfflineStore, flushes: boolean): Promise<FoldEngine> {
  let seconds = 0;
  const engine = paymentsEngine(
    offline,
    online,
    // Each look at the clock is a second later, so that every batch starts a flush.
    () => (flushes ? seconds++ : 0),
    { writeBatch: 2 },
  );
  await attempt(() => engine.recover());
  return engine;
}

describe("the engine on a hot store that loses writes", () => {
  it("gives what the oracle gives, whatever shards lose and whenever, with two processes and crashes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sent, { minLength: 1, maxLength: 40 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 6 }), mishap), { minLength: 1, maxLength: 20 }),
        fc.boolean(),
        async (events, plan, flushes) => {
          const offline = await paymentsLog();
          const server = losingServer(SHARDS);
          // Partitions 0 and 1 belong to the first process, 2 to the second.
          const start = (): Promise<FoldEngine> => startEngine(server.connect(), offline, flushes);
          const engines = [await start(), await start()];
          const ownerOf = (partition: string): number => (partition === "p2" ? 1 : 0);
          const messages = messagesOf(events);
          /** In the order of the commits: of two events with one id and time, the first is the event. */
          const committed: typeof messages = [];
          let at = 0;
          for (let round = 0; at < messages.length; round++) {
            const [size, { what, shard, writes, after }] = plan[round % plan.length]!;
            const slice = messages.slice(at, at + size);
            at += size;
            if (what === "lose during") server.before(after, () => server.lose(shard, writes));
            for (const partition of new Set(slice.map((m) => m.partition))) {
              const own = slice.filter((m) => m.partition === partition);
              committed.push(...own);
              await attempt(() =>
                engines[ownerOf(partition)]!.handle({
                  source: "payments",
                  partition,
                  messages: own,
                  deadLetters: [],
                  lastOffset: own.at(-1)!.offset,
                }),
              );
            }
            if (what === "lose") server.lose(shard, writes);
            else if (what === "crash") engines[shard] = await start();
            else if (what === "tend") await attempt(() => engines[shard]!.tend());
            else if (what === "flush") await attempt(() => engines[shard]!.flush());
          }
          server.calm();
          // What one process finds lost, the other may have to make again too.
          for (let round = 0; round < 2; round++) for (const engine of engines) await attempt(() => engine.tend());
          for (const engine of engines) await attempt(() => engine.flush());
          await compareWithOracle(committed, server.connect(), Math.max(...messages.map((m) => m.eventTime)) + 1);
        },
      ),
      { numRuns: 1_500 },
    );
  });

  it("repairs a store that lost everything while nothing came, as soon as it is tended", async () => {
    const offline = await paymentsLog();
    const server = losingServer(SHARDS);
    const engine = await startEngine(server.connect(), offline, true);
    const messages = messagesOf(
      Array.from({ length: 20 }, (_, i) => ({
        partition: 0,
        ingestedAt: 0,
        row: [`${i}`, i % 2 === 0 ? "a" : "b", i % 2, i, false, i * 1_000],
      })),
    );
    await engine.handle({ source: "payments", partition: "p0", messages, deadLetters: [], lastOffset: 19 });
    await engine.flush();
    for (let shard = 0; shard < SHARDS; shard++) server.lose(shard, 10_000);
    await engine.tend();
    await engine.settled();
    await compareWithOracle(messages, server.connect(), 20_000);
    expect(await server.connect().readMeta([metaNames.clock("payments")])).toEqual(["19001"]);
  });

  it("takes a key space that was filled before there were marks as it is", async () => {
    const offline = await paymentsLog();
    const online = memoryOnlineStore();
    const messages = messagesOf(
      Array.from({ length: 12 }, (_, i) => ({
        partition: 0,
        ingestedAt: 0,
        row: [`${i}`, "a", 1, i, false, i * 1_000],
      })),
    );
    const first = await startEngine(online, offline, true);
    await first.handle({
      source: "payments",
      partition: "p0",
      messages: messages.slice(0, 6),
      deadLetters: [],
      lastOffset: 5,
    });
    await first.flush();
    // Positions are pruned by now, and written without them.
    await first.handle({
      source: "payments",
      partition: "p0",
      messages: messages.slice(6),
      deadLetters: [],
      lastOffset: 11,
    });
    await first.flush();
    const ready = views.map((view) => metaNames.ready(createViewRuntime(view).keyspace));
    await online.writeMeta(
      new Map([
        ...ready.map((name) => [name, "1"] as const),
        ...views.map((view) => [`mark/${createViewRuntime(view).keyspace}`, null] as const),
      ]),
    );
    const second = await startEngine(online, offline, true);
    await second.flush();
    await compareWithOracle(messages, online, 12_000);
    expect(await online.readMeta(ready)).toEqual(["2", "2"]);
  });
});
