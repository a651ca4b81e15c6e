import { expect, it, vi } from "vitest";
import {
  checkRetention,
  createHistoryRetainer,
  type RetentionConfig,
  resolveRetention,
} from "../../src/config/retention.ts";
import { count, entity, featureView, latest, memory, streamSource, t } from "../../src/definitions/index.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { memoryOfflineStore } from "../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { createPipeline } from "../../src/pipeline/pipeline.ts";

const HOUR = 3_600_000;
const NOW = Date.UTC(2026, 0, 10);
const payments = streamSource("payments", {
  stream: memory(),
  eventTime: "at",
  lateness: "1m",
  schema: { card: t.string(), at: t.timestamp() },
});
const card = entity("card", { card: t.string() });
const hourly = featureView("hourly", { source: payments, entity: card, features: { n: count().over("1h") } });
const ever = featureView("ever", { source: payments, entity: card, features: { at: latest(payments.at) } });
const declarations = collectDeclarations({ payments, hourly });

it("takes one length for all sources, or one by source", () => {
  expect(resolveRetention(undefined)).toBeNull();
  expect(resolveRetention("2d")).toBe(48 * HOUR);
  expect(resolveRetention({ payments: "3h" })).toEqual({ payments: 3 * HOUR });
});

it.each<[string, unknown]>([
  ["retention", "soon"],
  ["retention", 5],
  ["retention", ["1d"]],
  ["retention.payments", { payments: 3 }],
])("names %s where it is wrong", (name, given) => {
  expect(() => resolveRetention(given as RetentionConfig)).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(`${name} must be`) }),
  );
});

it("refuses views that reach further back than history, stores that keep everything, and unknown sources", () => {
  const store = memoryOfflineStore();
  const check = (retention: RetentionConfig, views = declarations.views): string => {
    try {
      checkRetention(resolveRetention(retention), { sources: declarations.sources, views }, store);
      return "taken";
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  expect(check("1d")).toBe("taken");
  // One hour of window, its tile, and the hour that an event may lie in the future.
  expect(check("2h")).toBe("RETENTION_TOO_SHORT");
  expect(check({ payments: "1h" })).toBe("RETENTION_TOO_SHORT");
  expect(check("9000d", collectDeclarations({ payments, ever }).views)).toBe("RETENTION_TOO_SHORT");
  expect(check({ refunds: "1d" })).toBe("CONFIG_INVALID");
  expect(() => checkRetention(HOUR * 24, declarations, {})).toThrow(
    expect.objectContaining({ code: "RETENTION_UNSUPPORTED" }),
  );
});

it("drops what is older by the source's clock, and nothing of a source without retention", async () => {
  const refunds = streamSource("refunds", {
    stream: memory(),
    eventTime: "at",
    lateness: "1m",
    schema: { card: t.string(), at: t.timestamp() },
  });
  const refunded = featureView("refunded", { source: refunds, entity: card, features: { n: count().over("1h") } });
  const offline = memoryOfflineStore();
  const dropHistory = vi.spyOn(offline, "dropHistory");
  const pipeline = createPipeline({
    ...collectDeclarations({ refunds, refunded, payments, hourly }),
    online: memoryOnlineStore(),
    offline,
    retention: resolveRetention({ payments: "1d" }),
    now: () => NOW,
  });
  await pipeline.recover();
  for (const source of ["refunds", "payments"]) {
    pipeline.memory(source).push([
      { card: "a", at: NOW - 30 * HOUR },
      { card: "a", at: NOW - 2 * HOUR },
    ]);
    pipeline.memory(source).end();
  }
  await pipeline.start();
  await pipeline.finished();
  await vi.waitFor(() => expect(dropHistory).toHaveBeenCalled(), { timeout: 20_000 });
  await pipeline.close();
  expect(dropHistory.mock.calls.map(([source]) => source)).toEqual(["payments"]);
  const times = async (source: string): Promise<number[]> => {
    const found: number[] = [];
    const query = { source, keyColumns: ["card"], keys: null, before: null, knowledge: "event_time" } as const;
    for await (const events of offline.history({ ...query, from: source === "refunds" ? null : NOW - 20 * HOUR })) {
      found.push(...events.map((event) => event.eventTime));
    }
    return found;
  };
  expect(await times("refunds")).toEqual([NOW - 30 * HOUR, NOW - 2 * HOUR]);
  expect(await times("payments")).toEqual([NOW - 2 * HOUR]);
  const all = offline.history({
    source: "payments",
    keyColumns: ["card"],
    keys: null,
    from: NOW - 30 * HOUR,
    before: null,
    knowledge: "event_time",
  });
  await expect(all[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: "HISTORY_DROPPED" });
});

it("looks again when the clock has moved an hour and a minute has passed, and after a failure", async () => {
  const asked: number[] = [];
  let elapsed = 0;
  let fails = false;
  const retain = createHistoryRetainer(
    {
      dropHistory: async (_source, before) => {
        asked.push(before);
        if (fails) throw new TypeError("away");
        return before;
      },
    },
    "payments",
    HOUR,
    () => elapsed,
  );
  await retain(Number.NEGATIVE_INFINITY);
  await retain(10 * HOUR);
  await retain(20 * HOUR);
  elapsed = 60_000;
  await retain(10.9 * HOUR);
  expect(asked).toEqual([9 * HOUR]);
  fails = true;
  await expect(retain(11 * HOUR)).rejects.toThrow("away");
  fails = false;
  await retain(11 * HOUR);
  elapsed = 120_000;
  await retain(11 * HOUR);
  expect(asked).toEqual([9 * HOUR, 10 * HOUR, 10 * HOUR]);
});
