import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  count,
  derive,
  entity,
  featureView,
  lastN,
  latest,
  max,
  memory,
  stddev,
  streamSource,
  sum,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import type { Value } from "../../../src/definitions/value.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../../../src/feature_engineering/encoding/entity-key.ts";
import type { LoggedEvent } from "../../../src/feature_engineering/engine/event-log.ts";
import type { FeatureSink, ValueWrite } from "../../../src/feature_engineering/engine/feature-sink.ts";
import { createFoldEngine, type FoldEngine } from "../../../src/feature_engineering/engine/fold-engine.ts";
import { createMessageLogger } from "../../../src/feature_engineering/engine/message-logger.ts";
import { compileEventExpression } from "../../../src/feature_engineering/transforms/compile-event-expression.ts";
import { decodeEntityState } from "../../../src/feature_engineering/windows/entity-state.ts";
import { naiveFeatures } from "../../../src/feature_engineering/windows/naive-window.ts";
import { createViewReading, readFeatures } from "../../../src/feature_engineering/windows/read-features.ts";
import { memoryOfflineStore } from "../../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import type { MessageBatch, StreamMessage } from "../../../src/ingestion/stream-message.ts";

const payments = streamSource("payments", {
  stream: memory(),
  clock: "stream",
  eventTime: "at",
  lateness: "1m",
  id: "id",
  futureBound: "1h",
  schema: {
    id: t.string(),
    card: t.string().nullable(),
    shop: t.int32(),
    amount: t.float64().nullable(),
    declined: t.bool(),
    at: t.timestamp(),
  },
});
const card = entity("card", { card: t.string() });
const shop = entity("shop", { shop: t.int32(), card: t.string() });
const doubled = derive({ amount: payments.amount }, t.float64().nullable(), ({ amount }) =>
  amount === null ? null : amount * 2,
);
const views = [
  featureView("card_activity", {
    source: payments,
    entity: card,
    features: {
      n: count().over(["1m", "1h"]),
      spend: sum(payments.amount).over(["1m", "1h"]),
      sd: stddev(doubled).over("1h"),
      last: latest(payments.amount),
      last_declined: lastN(payments.amount, 2).where(payments.declined),
    },
  }),
  featureView("shop_activity", {
    source: payments,
    entity: shop,
    features: { top: max(payments.amount).over("1h"), n: count().where(payments.declined).over("10m") },
  }),
].map((view) => view[Meta]);

interface Sent {
  readonly partition: number;
  readonly row: Value[];
  readonly ingestedAt: number;
}

const sent: fc.Arbitrary<Sent> = fc.record({
  partition: fc.nat(2),
  ingestedAt: fc.nat(100),
  row: fc.tuple(
    fc.nat(30).map(String),
    fc.constantFrom("a", "b", null),
    fc.nat(1),
    fc.oneof(
      fc.constant(null),
      fc.integer({ min: -1000, max: 1000 }).map((c) => c / 100 + 0),
    ),
    fc.boolean(),
    fc.nat(5_000).map((s) => s * 1_000),
  ) as unknown as fc.Arbitrary<Value[]>,
});

/** What may go wrong between two batches. */
const mishap = fc.constantFrom("nothing", "nothing", "crash", "redelivery", "hot store error", "other writer");

describe("the engine", () => {
  it("gives what the oracle gives, through crashes, redeliveries, failed writes and other writers", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(sent, { minLength: 1, maxLength: 40 }),
        fc.array(fc.tuple(fc.integer({ min: 1, max: 8 }), mishap), { maxLength: 20 }),
        fc.nat(6_000),
        async (events, plan, ahead) => {
          const offline = memoryOfflineStore();
          const online = memoryOnlineStore();
          await offline.prepareSource({ source: "payments", columns: payments[Meta].columns, hasId: true });
          const sink = flakySink(online);
          const start = async (): Promise<FoldEngine> => {
            const engine = createFoldEngine({
              source: payments[Meta],
              views: views.map((view) => createViewRuntime(view)),
              log: offline,
              sink,
              newInstance: () => "one",
              now: () => 0,
              seconds: () => 0,
              writeBatch: 2,
            });
            await engine.recover();
            return engine;
          };
          const offsets = [0, 0, 0];
          const messages = events.map(
            (event): StreamMessage => ({
              source: "payments",
              partition: `p${event.partition}`,
              offset: offsets[event.partition]!++,
              key: null,
              payload: event.row,
              eventTime: event.row[5] as number,
              ingestedAt: event.ingestedAt,
              headers: {},
            }),
          );
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
      { numRuns: 300 },
    );
  }, 120_000);
});

async function attempt(action: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await action();
    } catch (error) {
      if (tries === 10) throw error;
    }
  }
}

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

async function compareWithOracle(
  messages: readonly StreamMessage[],
  online: ReturnType<typeof memoryOnlineStore>,
  time: number,
): Promise<void> {
  const log = createMessageLogger(payments[Meta]);
  const seen = new Map<string, LoggedEvent>();
  for (const message of messages) {
    const event = log(message, 0);
    const id = `${event.id}@${event.eventTime}`;
    // Of two events with one id and time, the one committed first is the event.
    if (!seen.has(id)) seen.set(id, event);
  }
  const columns = new Map(payments[Meta].columns.map((column, index) => [column.name, index]));
  for (const view of views) {
    const { layout, keyspace } = createViewRuntime(view);
    const keys = new Map<string, Value[]>();
    for (const { row } of seen.values()) {
      const key = layout.keyIndexes.map((index) => row[index]!);
      if (!key.some((part) => part === null)) keys.set(JSON.stringify(key), key);
    }
    for (const [id, key] of keys) {
      const events = [...seen.values()].filter(
        (e) => JSON.stringify(layout.keyIndexes.map((index) => e.row[index]!)) === id,
      );
      const out = createByteWriter();
      encodeEntityKey(layout.keyTypes, key, out);
      const [stored] = await online.read([{ keyspace, key: out.finish() }]);
      const reading = createViewReading(layout);
      readFeatures(layout, stored ? decodeEntityState(layout, stored.bytes) : null, time, reading);
      const expected = naiveFeatures(
        view,
        (expression) => compileEventExpression(expression, columns, () => {}),
        events,
        time,
      );
      expect({ view: view.name, key, values: reading.values, statuses: reading.statuses }).toEqual({
        view: view.name,
        key,
        ...expected,
      });
    }
  }
}
