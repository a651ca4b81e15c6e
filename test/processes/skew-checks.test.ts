import { channel } from "node:diagnostics_channel";
import { afterEach, describe, expect, it } from "vitest";
import type { PredictedRowsEvent } from "../../src/api/channels.ts";
import { PREDICTED_ROWS_CHANNEL } from "../../src/api/channels.ts";
import type { PredictionReport } from "../../src/feature_store/check-predictions.ts";
import type { PredictionFilter } from "../../src/feature_store/offline/offline-store.ts";
import { createMetrics, type Metrics } from "../../src/monitoring/metrics.ts";
import { startSkewChecks } from "../../src/processes/skew-checks.ts";

let metrics: Metrics | null = null;
afterEach(() => metrics?.close());

function fail(error: unknown): never {
  throw error;
}

/** A cold store with rows of ids from 1, each checked in its page; every tenth differs. */
function store(rows: number) {
  const asked: PredictionFilter[] = [];
  const check = async (filter: PredictionFilter): Promise<PredictionReport> => {
    asked.push(filter);
    const newest = (filter.beforeId ?? rows + 1) - 1;
    const ids = Array.from({ length: Math.min(filter.limit, newest) }, (_, i) => newest - i);
    const different = ids.filter((id) => id % 10 === 0);
    const example = { service: "risk", model: "fraud", view: "spend", feature: "n", served: "1", history: "2" };
    return {
      predictions: ids.length,
      values: ids.length,
      mismatches: different.length,
      skipped: 0,
      services: [{ service: "risk", equal: ids.length - different.length, different: different.length, unknown: 0 }],
      oldestId: ids.at(-1) ?? null,
      examples: different.map(() => example),
    };
  };
  return { asked, check };
}

describe("checks of logged predictions in the background", () => {
  it("count each row once, in pages, as a metric and with what differs in the report", async () => {
    metrics = createMetrics({ thread: "main" });
    const { asked, check } = store(50);
    const checks = startSkewChecks({
      check,
      services: () => ["risk"],
      onFailure: fail,
      intervalMs: 0,
      now: () => 7,
    });
    await checks.look();
    expect(asked.map(({ from, beforeId, limit }) => [from, beforeId, limit])).toEqual([
      [7, undefined, 20],
      [7, 31, 20],
      [7, 11, 20],
    ]);
    expect(metrics.quality("risk").skew).toMatchObject({ equal: 45, different: 5, unknown: 0 });
    expect(metrics.quality("risk").skew.examples).toHaveLength(5);
    const { body } = await metrics.render("");
    expect(body).toContain('millrace_training_serving_skew_rows_total{service="risk",outcome="different"} 5');
  });

  it("look at no more rows than asked for, and not beyond their time", async () => {
    const few = store(1_000);
    await startSkewChecks({ ...options(few.check), rows: 30 }).look();
    expect(few.asked.map(({ limit }) => limit)).toEqual([20, 10]);
    const slow = store(1_000);
    let now = 0;
    await startSkewChecks({ ...options(slow.check), now: () => (now += 900) }).look();
    expect(slow.asked.length).toBeLessThan(4);
  });

  it("do nothing where nothing is logged or after the end, and survive a store that fails", async () => {
    const { asked, check } = store(5);
    await startSkewChecks({ ...options(check), services: () => [] }).look();
    const ended = startSkewChecks(options(check));
    ended.close();
    await ended.look();
    expect(asked).toEqual([]);
    const failures: unknown[] = [];
    const failing = startSkewChecks({
      ...options(async () => Promise.reject(new TypeError("down"))),
      onFailure: (error) => failures.push(error),
    });
    await failing.look();
    await failing.look();
    expect(failures).toHaveLength(2);
  });
});

function options(check: (filter: PredictionFilter) => Promise<PredictionReport>) {
  return { check, services: () => ["risk"], onFailure: fail, intervalMs: 0 } as const;
}

describe("rows that models answered", () => {
  it("become metrics and a report, and begin anew with another version", async () => {
    metrics = createMetrics({ thread: "main", now: () => 0 });
    const type = { kind: "float64", nullable: true } as const;
    const columns = [{ name: "delay", type }];
    const outputs = [{ name: "p", type }];
    const profile = {
      version: 1,
      features: {
        delay: { kind: "number", rows: 1_000, nulls: 0, min: 0, max: 10, edges: [5], shares: [0.5, 0.5] },
      },
    } as const;
    const publish = (over: Partial<PredictedRowsEvent>): void =>
      channel(PREDICTED_ROWS_CHANNEL).publish({
        model: "flights",
        version: "1",
        service: "risk",
        columns,
        outputs,
        profile,
        rows: 300,
        feature: (row) => (row % 4 === 0 ? null : 100 + row),
        answer: () => 0.5,
        ...over,
      } satisfies PredictedRowsEvent);
    publish({});
    const { body } = await metrics.render("");
    expect(body).toContain('millrace_feature_drift_detected{service="risk",feature="delay"} 1');
    expect(body).toContain('millrace_feature_null_ratio{service="risk",feature="delay"} 0.25');
    expect(body).toContain('millrace_feature_out_of_range_ratio{service="risk",feature="delay"} 1');
    expect(body).toContain('millrace_feature_quality_rows_total{service="risk"} 300');
    expect(metrics.quality("risk")).toMatchObject({
      model: "flights",
      features: [{ name: "delay", drifted: true, baseline: "training_set" }],
      predictions: [{ model: "flights", version: "1", rows: 300 }],
    });
    publish({ version: "2", columns: [...columns], outputs: [...outputs], rows: 10 });
    expect((await metrics.render("")).body).not.toContain("millrace_feature_drift_detected{");
    expect(metrics.quality("risk")).toMatchObject({ rows: 10, features: [{ drifted: false }] });
  });
});
