import { beforeAll, describe, expect, it } from "vitest";
import { createFeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { mergeExpositions } from "../../src/monitoring/merge-expositions.ts";
import { createMetrics } from "../../src/monitoring/metrics.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { declarations, type Payment } from "../feature_store/payments.ts";
import { type ParsedExposition, parseExposition } from "./parse-exposition.ts";

// The real layers in one thread, so that what they publish and what is counted of it cannot drift apart.
const payment = (n: number, change: Partial<Payment> = {}): Payment => ({
  id: `p${n}`,
  sender: "a",
  receiver: "b",
  amount: n,
  cents: n,
  at: n * 1_000,
  arrived: n * 1_000,
  ...change,
});
const list: readonly Record<string, unknown>[] = [
  ...Array.from({ length: 10 }, (_, n) => payment(n)),
  payment(10, { sender: null }),
  payment(11, { sender: null }),
  // The same event again, and another payload under its id and time.
  payment(3),
  payment(4, { amount: 1_000 }),
  { ...payment(12), cents: "many" },
  payment(13),
];

let seen: ParsedExposition;
beforeAll(async () => {
  using main = createMetrics({ thread: "main" });
  using writing = createMetrics({ thread: "pipeline" });
  const online = memoryOnlineStore();
  const offline = memoryOfflineStore();
  const pipeline = createPipeline({ ...declarations, online, offline, maxBatch: 4 });
  try {
    await pipeline.recover();
    pipeline.memory("payments").push(list);
    pipeline.memory("payments").end();
    pipeline.start();
    await pipeline.finished();
    const store = createFeatureStore({ ...declarations, online, offline, now: () => 0 });
    await store.getOnlineFeatures("risk", { rows: [{ from: "a", to: "b", asked: 1 }], asOf: 14_000 });
    await store.getOnlineFeatures("risk", { rows: [{ from: "nobody", to: "b", asked: 2 }], asOf: 5_000 });
  } finally {
    await pipeline.close();
    await online.close();
    await offline.close();
  }
  seen = parseExposition(mergeExpositions((await main.render("")).body, (await writing.render("")).body));
});

const ofSource = (name: string, labels: Record<string, string> = {}): number | undefined =>
  seen.value(name, { source: "payments", ...labels });
const ofService = (name: string): number | undefined => seen.value(name, { service: "risk" });

describe("what the real layers publish", () => {
  it("counts events and dead letters of ingestion", () => {
    expect(ofSource("millrace_ingestion_events_total")).toBe(15);
    const dead = seen.families.get("millrace_ingestion_dead_letters_total")!.samples;
    expect(dead.reduce((sum, { value }) => sum + value, 0)).toBe(1);
    expect(ofSource("millrace_ingestion_batch_messages_sum")).toBe(16);
    expect(ofSource("millrace_ingestion_batch_messages_count")).toBe(4);
    const [lag] = seen.families.get("millrace_ingestion_lag_messages")!.samples;
    expect(lag).toMatchObject({ labels: { source: "payments" }, value: 0 });
  });

  it("tells new events, duplicates, conflicts and null keys apart", () => {
    expect(ofSource("millrace_engine_events_total")).toBe(13);
    expect(ofSource("millrace_engine_duplicates_total")).toBe(1);
    expect(ofSource("millrace_engine_id_conflicts_total")).toBe(1);
    expect(ofSource("millrace_engine_null_keys_total")).toBe(4);
    // A stream clock stands at the first instant after the newest event, so that reads see it.
    expect(ofSource("millrace_engine_clock_timestamp_seconds")).toBe(13.001);
    expect(ofSource("millrace_engine_hot_store_writes_total")).toBeGreaterThan(0);
    for (const stage of ["commit", "fold", "write"]) {
      expect(ofSource("millrace_engine_batch_duration_seconds_count", { stage })).toBe(4);
    }
    expect(ofSource("millrace_engine_recovery_pending_events")).toBe(0);
  });

  it("counts reads of features, and what they found per view", () => {
    expect(ofService("millrace_online_read_rows_total")).toBe(2);
    expect(ofService("millrace_online_read_duration_seconds_count")).toBe(2);
    // Four lookups a row: the sender in two views, and the receiver in two. Nobody has sent as "b" or as "nobody".
    expect(ofService("millrace_online_store_hits_total")).toBe(4);
    expect(ofService("millrace_online_store_misses_total")).toBe(4);
    expect(ofService("millrace_online_read_head_overlaps_total")).toBe(1);
    const statuses = (view: string) =>
      ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"].map((status) =>
        seen.value("millrace_feature_statuses_total", { view, status }),
      );
    // Per row eleven features of the sender and one of the receiver, and three of what the receiver got.
    expect(statuses("sent")).toEqual([11, 0, 13, 0]);
    expect(statuses("received")).toEqual([6, 0, 0, 0]);
  });
});
