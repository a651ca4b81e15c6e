import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { arrivals } from "../../../src/ingestion/sources/arrivals.ts";

const LONG_MS = 600_000;

it("ends the wait when something arrives, once, and keeps nothing of it", async () => {
  const arrived = arrivals();
  const { signal } = new AbortController();
  // Before anybody waits it is of no use: who comes looks first.
  arrived.note();
  const waits = arrived.next(LONG_MS, signal);
  arrived.note();
  arrived.note();
  await waits;
  expect(getEventListeners(signal, "abort")).toEqual([]);
});

it("ends the wait after the time given", async () => {
  await arrivals().next(1, new AbortController().signal);
});

it("rejects with the reason of an abort, after which nobody waits", async () => {
  const arrived = arrivals();
  const stop = new AbortController();
  const waits = arrived.next(LONG_MS, stop.signal);
  stop.abort("enough");
  await expect(waits).rejects.toBe("enough");
  arrived.note();
  await expect(arrived.next(LONG_MS, stop.signal)).rejects.toBe("enough");
});
