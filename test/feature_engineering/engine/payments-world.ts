import fc from "fast-check";
import { expect } from "vitest";
import type { FeatureViewMeta } from "../../../src/definitions/feature-view.ts";
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
import type { EventLog, LoggedEvent } from "../../../src/feature_engineering/engine/event-log.ts";
import type { FeatureSink } from "../../../src/feature_engineering/engine/feature-sink.ts";
import { createFoldEngine, type FoldEngine } from "../../../src/feature_engineering/engine/fold-engine.ts";
import type { FoldEngineOptions } from "../../../src/feature_engineering/engine/fold-engine-options.ts";
import { createMessageLogger } from "../../../src/feature_engineering/engine/message-logger.ts";
import { compileEventExpression } from "../../../src/feature_engineering/transforms/compile-event-expression.ts";
import { decodeEntityState } from "../../../src/feature_engineering/windows/entity-state.ts";
import { naiveFeatures } from "../../../src/feature_engineering/windows/naive-window.ts";
import { createViewReading, readFeatures } from "../../../src/feature_engineering/windows/read-features.ts";
import { memoryOfflineStore } from "../../../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../../../src/feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../../../src/feature_store/online/online-store.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import type { StreamMessage } from "../../../src/ingestion/stream-message.ts";

/** A small stream with two views whose windows, ties and nulls are awkward. */
export const payments = streamSource("payments", {
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
export const views: readonly FeatureViewMeta[] = [
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

export interface Sent {
  readonly partition: number;
  readonly row: Value[];
  readonly ingestedAt: number;
}

export const sent: fc.Arbitrary<Sent> = fc.record({
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

/** A cold store that knows the payments. */
export async function paymentsLog(): Promise<OfflineStore> {
  const offline = memoryOfflineStore();
  await offline.prepareSource({ source: "payments", columns: payments[Meta].columns, hasId: true });
  return offline;
}

/** The engine of the payments; not recovered yet. `seconds` is its monotone clock. */
export function paymentsEngine(
  log: EventLog,
  sink: FeatureSink,
  seconds: () => number,
  more: Partial<FoldEngineOptions> = {},
): FoldEngine {
  return createFoldEngine({
    source: payments[Meta],
    views: views.map((view) => createViewRuntime(view)),
    log,
    sink,
    newInstance: () => "one",
    now: () => 0,
    seconds,
    ...more,
  });
}

/** The messages of the events, each with the next offset of its partition. */
export function messagesOf(events: readonly Sent[]): StreamMessage[] {
  const offsets = [0, 0, 0];
  return events.map((event) => ({
    source: "payments",
    partition: `p${event.partition}`,
    offset: offsets[event.partition]!++,
    key: null,
    payload: event.row,
    eventTime: event.row[5] as number,
    ingestedAt: event.ingestedAt,
    headers: {},
  }));
}

/** Tries again as ingestion does. */
export async function attempt(action: () => Promise<void>): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      return await action();
    } catch (error) {
      if (tries === 10) throw error;
    }
  }
}

/** Every feature of every entity must be what the oracle computes from the messages alone. */
export async function compareWithOracle(
  messages: readonly StreamMessage[],
  online: Pick<OnlineStore, "read">,
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
