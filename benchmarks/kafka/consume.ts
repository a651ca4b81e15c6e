/**
 * Reads a topic of payments to its end into three views of four aggregations and three windows, in a process of its own,
 * and prints what that took as JSON. Argument: a {@link Consumption} as JSON.
 */

import { subscribe } from "node:diagnostics_channel";
import { type FaultStores, openFaultStores } from "../../integration/orders/fault-stores.ts";
import { ENGINE_BATCH_CHANNEL, type EngineBatchEvent } from "../../src/feature_engineering/engine/channels.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { kafka, streamSource } from "../../src/index.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { schema, views } from "../payments.ts";

export interface Consumption {
  readonly brokers: readonly string[];
  readonly topic: string;
  readonly events: number;
  readonly stores: FaultStores;
}

export interface Consumed {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly rssBytes: number;
  readonly writes: number;
  readonly commitSeconds: number;
  readonly foldSeconds: number;
  readonly writeSeconds: number;
}

const { brokers, topic, events, stores: where } = JSON.parse(process.argv[2]!) as Consumption;
const payments = streamSource("payments", {
  stream: kafka({ topic }),
  clock: "stream",
  eventTime: "at",
  lateness: "1m",
  schema,
});
const stores = await openFaultStores(where);
const spent = { commitSeconds: 0, foldSeconds: 0, writeSeconds: 0, writes: 0 };
const online: OnlineStore = {
  ...stores.online,
  async compareAndSet(writes, session) {
    const since = performance.now();
    const done = await stores.online.compareAndSet(writes, session);
    spent.writes += writes.length;
    spent.writeSeconds += (performance.now() - since) / 1_000;
    return done;
  },
};
const pipeline = createPipeline({
  sources: collectDeclarations({ payments }).sources,
  views,
  online,
  offline: stores.offline,
  connections: { kafka: { default: { brokers } } },
  // As in production: the servers' stores are shared with other processes, those of a folder belong to one.
  holder: "folder" in where ? null : crypto.randomUUID(),
  onFailure: (_source, error) => process.stderr.write(`${String(error)}\n`),
});
let folded = 0;
const all = Promise.withResolvers<void>();
/** From the first batch on: joining the group is no part of the speed. */
let started: { readonly at: number; readonly cpu: NodeJS.CpuUsage } | null = null;
let most = 0;
subscribe(ENGINE_BATCH_CHANNEL, (message) => {
  const batch = message as EngineBatchEvent;
  spent.commitSeconds += batch.commitSeconds;
  spent.foldSeconds += batch.foldSeconds;
  most = Math.max(most, process.memoryUsage.rss());
  folded += batch.events;
  if (folded >= events) all.resolve();
});
subscribe("millrace:ingestion:batch", () => {
  started ??= { at: performance.now(), cpu: process.cpuUsage() };
});
await pipeline.recover();
const begun = { at: performance.now(), cpu: process.cpuUsage() };
await pipeline.start();
await all.promise;
// Until everything is readable, and durable as far as configured.
await pipeline.drain();
const { at, cpu } = started ?? begun;
const seconds = (performance.now() - at) / 1_000;
const { user, system } = process.cpuUsage(cpu);
const result: Consumed = { seconds, cpuSeconds: (user + system) / 1e6, rssBytes: most, ...spent };
process.stdout.write(`${JSON.stringify(result)}\n`);
await stores.close();
