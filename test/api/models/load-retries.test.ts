import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { loadRetries } from "../../../src/api/models/load-retries.ts";
import { modelError } from "../../../src/api/models/model-errors.ts";

const FAILURE = { version: "1", code: "X", message: "", at: 0 };
const moment = modelError("MODEL_SERVER_UNAVAILABLE", "", { kind: "operational" });
const bad = modelError("MODEL_CORRUPT", "");

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

/** How long until it is due, in seconds, found second by second. */
function pause(retries: ReturnType<typeof loadRetries>): number {
  for (let seconds = 0; seconds < 10_000; seconds++) {
    if (retries.isDue("a", "poll")) return seconds;
    vi.advanceTimersByTime(1_000);
  }
  return Number.POSITIVE_INFINITY;
}

it("waits longer after each failure, at most five minutes for what failed for the moment and an hour for what is bad", () => {
  for (const [error, first, longest] of [
    [moment, 5, 300],
    [bad, 60, 3_600],
  ] as const) {
    const retries = loadRetries(false);
    const pauses = Array.from({ length: 12 }, () => {
      retries.failed("a", error, FAILURE);
      return pause(retries);
    });
    for (const [n, seconds] of pauses.entries()) {
      const most = Math.min(longest, first * 2 ** n);
      expect(seconds).toBeGreaterThanOrEqual(most / 2 - 1);
      expect(seconds).toBeLessThanOrEqual(most + 1);
    }
  }
});

it("tries what failed for the moment when the registry says so, and what is bad when an operator asks", () => {
  const retries = loadRetries(false);
  retries.failed("a", moment, FAILURE);
  retries.failed("b", bad, FAILURE);
  expect(["a", "b"].map((id) => retries.isDue(id, "told"))).toEqual([true, false]);
  expect(["a", "b"].map((id) => retries.isDue(id, "asked"))).toEqual([true, true]);
});

it("never tries bad content again by itself where ids say what the content is", () => {
  const retries = loadRetries(true);
  retries.failed("a", bad, FAILURE);
  expect(pause(retries)).toBe(Number.POSITIVE_INFINITY);
});

it("begins anew after a success, and forgets what is no longer listed", () => {
  const retries = loadRetries(false);
  retries.failed("a", moment, FAILURE);
  retries.succeeded("a");
  expect(retries.isDue("a", "poll")).toBe(true);
  retries.failed("a", bad, FAILURE);
  expect(retries.failureOf("a")).toBe(FAILURE);
  retries.keep(new Set());
  expect(retries.failureOf("a")).toBeNull();
});
