import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FeatureSink, ValueWrite } from "../../../src/feature_engineering/engine/feature-sink.ts";
import type { FoldEngine } from "../../../src/feature_engineering/engine/fold-engine.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import type { MessageBatch, StreamMessage } from "../../../src/ingestion/stream-message.ts";
import { attempt, compareWithOracle, messagesOf, paymentsEngine, paymentsLog, sent, views } from "./payments-world.ts";

/** What may go wrong between two batches. */
const mishap = fc.constantFrom("nothing", "nothing", "crash", "redelivery", "hot store error", "other writer");

/** Of more entities, so that a part of the changed values is left after each batch. */
const sentOfMany = sent.map((event) => ({ ...event, row: event.row.with(1, "abcd"[Number(event.row[0]) % 4]!) }));

describe("the engine", () => {
  it("gives what the oracle gives, through crashes, redeliveries, failed writes and other writers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sent, { minLength: 1, maxLength: 40 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), mishap), { maxLength: 20 }),
        fc.nat(6_000),
        fc.constantFrom(0, 3, 32_000),
        fc.constantFrom(1, 3, 8, 400_000),
        fc.array(fc.constantFrom(0, 0, 5_000), { minLength: 1, maxLength: 20 }),
        // Seconds that pass at each look at the clock: marks are written now and then, or after almost every batch.
        fc.constantFrom(0, 0.02, 1),
        async (events, plan, ahead, keptEvents, writeValues, backlog, tick) => {
          let seconds = 0;
          const offline = await paymentsLog();
          const online = memoryOnlineStore();
          const sink = flakySink(online);
          const start = async (): Promise<FoldEngine> => {
            const engine = paymentsEngine(offline, sink, () => (seconds += tick), {
              writeBatch: 2,
              keptEvents,
              writeValues,
            });
            await engine.recover();
            return engine;
          };
          const messages = messagesOf(events);
          let engine = await start();
          let sentBatches: MessageBatch[] = [];
          const committed: StreamMessage[] = [];
          let at = 0;
          for (let step = 0; at < messages.length; step++) {
            const [size, what] = plan[step % Math.max(1, plan.length)] ?? [5, "nothing"];
            const slice = messages.slice(at, at + size);
            at += size;
            for (const partition of new Set(slice.map((m) => m.partition))) {
              const own = slice.filter((m) => m.partition === partition);
              const batch: MessageBatch = {
                source: "payments",
                partition,
                messages: own,
                deadLetters: [],
                lastOffset: own.at(-1)!.offset,
                behind: backlog[step % backlog.length]!,
              };
              sentBatches = [...sentBatches, batch].slice(-5);
              committed.push(...own);
              if (what === "hot store error") sink.failWrites(2);
              await attempt(() => engine.handle(batch));
            }
            if (what === "crash") {
              // Anything in memory is gone; a write may have been under way.
              sink.failWrites(Number.POSITIVE_INFINITY);
              await engine.settled().catch(() => {});
              sink.failWrites(0);
              engine = await start();
            } else if (what === "redelivery") {
              for (const batch of sentBatches) await engine.resumeAfter(batch.partition);
              for (const batch of sentBatches) await attempt(() => engine.handle(batch));
            } else if (what === "other writer") {
              await attempt(() => engine.settled());
              await bumpRevisions(online);
            }
          }
          await attempt(() => engine.settled());
          await attempt(() => engine.flush());
          await compareWithOracle(committed, online, Math.max(...messages.map((m) => m.eventTime)) + 1 + ahead * 1_000);
        },
      ),
      { numRuns: 400 },
    );
  });

  it("marks nothing before it is written, while a backlog is written in parts beside other writers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sentOfMany, { minLength: 10, maxLength: 50 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.constantFrom(false, false, false, true)), {
          minLength: 1,
        }),
        fc.constantFrom(1, 2, 4),
        fc.constantFrom(4, 32_000),
        async (events, plan, writeValues, keptEvents) => {
          const offline = await paymentsLog();
          const online = memoryOnlineStore();
          let isAlive = true;
          let seconds = 0;
          const start = async (sink: FeatureSink): Promise<FoldEngine> => {
            const engine = paymentsEngine(
              offline,
              sink,
              // Marks are written as soon as they may be.
              () => (seconds += 0.1),
              { keptEvents, writeValues },
            );
            await engine.recover();
            return engine;
          };
          const mortal: FeatureSink = {
            ...online,
            compareAndSet: async (writes) => (isAlive ? online.compareAndSet(writes) : new Promise(() => {})),
            mark: async (marks, session) => (isAlive ? online.mark(marks, session) : new Promise(() => {})),
          };
          const engine = await start(mortal);
          const messages = messagesOf(events);
          let at = 0;
          for (let step = 0; step < plan.length && at < messages.length; step++) {
            const [size, isChanged] = plan[step]!;
            if (isChanged) await bumpRevisions(online);
            const slice = messages.slice(at, at + size);
            at += size;
            for (const partition of new Set(slice.map((m) => m.partition))) {
              const own = slice.filter((m) => m.partition === partition);
              const lastOffset = own.at(-1)!.offset;
              const batch = {
                source: "payments",
                partition,
                messages: own,
                deadLetters: [],
                lastOffset,
                behind: 5_000,
              };
              if (size > 1) engine.prepare(batch);
              await attempt(() => engine.handle(batch));
            }
            // Folding and marks go on beside the next batch.
            for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
          }
          isAlive = false;
          const next = await start(online);
          await next.settled();
          const committed = messages.slice(0, at);
          await compareWithOracle(committed, online, Math.max(...committed.map((m) => m.eventTime)) + 1);
        },
      ),
      { numRuns: 250 },
    );
  });

  it("writes a value that many events of a backlog change once, when the last batch of it is folded", async () => {
    const offline = await paymentsLog();
    const online = memoryOnlineStore();
    let written = 0;
    const sink: FeatureSink = {
      ...online,
      compareAndSet(writes, session) {
        written += writes.length;
        return online.compareAndSet(writes, session);
      },
    };
    const engine = paymentsEngine(offline, sink, () => 0);
    await engine.recover();
    const messages = messagesOf(
      Array.from({ length: 6 }, (_, n) => ({
        partition: 0,
        ingestedAt: 0,
        row: [String(n), "a", 0, n, false, n * 1_000],
      })),
    );
    const handle = async (message: StreamMessage, behind: number): Promise<void> => {
      const { partition, offset: lastOffset } = message;
      await engine.handle({ source: "payments", partition, messages: [message], deadLetters: [], lastOffset, behind });
    };
    for (const message of messages.slice(0, -1)) await handle(message, 5_000);
    expect(written).toBe(0);
    await handle(messages.at(-1)!, 0);
    await engine.settled();
    expect(written).toBe(views.length);
    await compareWithOracle(messages, online, 6_000);
  });
});

/** A sink whose next writes fail, each after a part of it was done. */
function flakySink(sink: FeatureSink): FeatureSink & { failWrites(count: number): void } {
  let failures = 0;
  return {
    ...sink,
    failWrites: (n) => {
      failures = n;
    },
    async compareAndSet(writes: readonly ValueWrite[]) {
      if (failures <= 0) return sink.compareAndSet(writes);
      failures--;
      await sink.compareAndSet(writes.slice(0, 1));
      throw new Error("the hot store went away");
    },
  };
}

/** Another process wrote the same values again: every revision is now larger than this engine believes. */
async function bumpRevisions(online: ReturnType<typeof memoryOnlineStore>): Promise<void> {
  for (const keyspace of await online.keyspaces()) {
    for await (const values of online.scan(keyspace)) {
      await online.compareAndSet(
        values.map(({ key, value }) => ({ keyspace, key, expectedRevision: value.revision, bytes: value.bytes })),
      );
    }
  }
}
