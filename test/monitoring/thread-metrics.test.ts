import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { observeLag } from "../../src/monitoring/event-loop-lag.ts";
import { createHistogramCell, type HistogramCell } from "../../src/monitoring/histogram-cell.ts";
import { createMetrics } from "../../src/monitoring/metrics.ts";
import { parseExposition } from "./parse-exposition.ts";

describe("the lag of an event loop", () => {
  const after = (...elapsed: number[]): HistogramCell => {
    const cell = createHistogramCell(Float64Array.of(0, 0.05));
    for (const ms of elapsed) observeLag(cell, ms);
    return cell;
  };

  it("is nothing where samples come in time, or early", () => {
    expect(after(20, 19, 20)).toMatchObject({ counts: Float64Array.of(3, 0, 0), sum: 0 });
  });

  it("counts for every task that became ready in a stall", () => {
    // Ready 20 ms after the last sample and every 20 ms from then: waits of 100, 80, 60, 40 and 20 ms.
    const cell = after(120);
    expect([...cell.counts]).toEqual([0, 2, 3]);
    expect(cell.sum).toBeCloseTo(0.3, 9);
  });

  it("counts at most a thousand samples of a suspended machine", () => {
    expect(after(3_600_000).counts[2]).toBe(1_000);
  });

  it("is seen on a thread that was really blocked", { timeout: 10_000 }, async () => {
    using metrics = createMetrics({ thread: "pipeline" });
    const until = performance.now() + 100;
    while (performance.now() < until);
    let sum = 0;
    while (sum === 0) {
      await pause(5);
      const seen = parseExposition((await metrics.render("")).body);
      sum = seen.value("millrace_thread_event_loop_lag_seconds_sum", { thread: "pipeline" })!;
    }
    expect(sum).toBeGreaterThan(0.08);
  });
});
