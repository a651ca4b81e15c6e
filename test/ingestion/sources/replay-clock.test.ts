import { expect, test } from "vitest";
import { replayClock } from "../../../src/ingestion/sources/replay-clock.ts";

const never = new AbortController().signal;

/** A wall clock and its timers, moved by hand. */
function fakeTime() {
  let wall = 0;
  let timers: { at: number; callback: () => void }[] = [];
  return {
    now: () => wall,
    setTimer: (callback: () => void, ms: number) => {
      const timer = { at: wall + ms, callback };
      timers.push(timer);
      return () => {
        timers = timers.filter((other) => other !== timer);
      };
    },
    advance: (ms: number) => {
      const end = wall + ms;
      for (;;) {
        const due = timers.filter((timer) => timer.at <= end).sort((a, b) => a.at - b.at)[0];
        if (due === undefined) break;
        timers = timers.filter((timer) => timer !== due);
        wall = Math.max(wall, due.at);
        due.callback();
      }
      wall = end;
    },
    pending: () => timers.length,
  };
}

/** Whether a promise is settled once all that is due has run. */
async function isDone(promise: Promise<unknown>): Promise<boolean> {
  let done = false;
  void promise.then(() => {
    done = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  return done;
}

test("at a speed, virtual time starts at the earliest first event of all sources, once all have opened", async () => {
  const time = fakeTime();
  const clock = replayClock({ speed: 60, ...time });
  const [a, b] = [clock.register("a"), clock.register("b")];
  a.opened(1000);
  const first = a.wait(1000, never);
  time.advance(5000);
  expect(await isDone(first)).toBe(false);
  b.opened(61_000);
  expect(await isDone(first)).toBe(true);
  const second = b.wait(61_000, never);
  time.advance(999);
  expect(await isDone(second)).toBe(false);
  time.advance(1);
  expect(await isDone(second)).toBe(true);
  expect(a.released()).toBe(61_001);
});

test("an empty source keeps nobody waiting", async () => {
  const time = fakeTime();
  const clock = replayClock({ speed: 1, ...time });
  const [a, empty] = [clock.register("a"), clock.register("empty")];
  empty.opened(Number.POSITIVE_INFINITY);
  a.opened(50);
  expect(await isDone(a.wait(50, never))).toBe(true);
});

test("virtual time stands still at the limit and goes on from there", async () => {
  const time = fakeTime();
  const clock = replayClock({ speed: 1, hold: true, ...time });
  const gate = clock.register("a");
  gate.opened(100);
  const first = gate.wait(100, never);
  time.advance(10_000);
  expect(await isDone(first)).toBe(false);
  clock.advanceTo(200);
  expect(await isDone(first)).toBe(true);
  time.advance(10_000);
  expect(clock.virtualTime()).toBe(200);
  expect(gate.released()).toBe(200);
  const later = gate.wait(250, never);
  clock.release();
  time.advance(49);
  expect(await isDone(later)).toBe(false);
  time.advance(1);
  expect(await isDone(later)).toBe(true);
});

test("the limit is exclusive and never moves back", async () => {
  const clock = replayClock({ hold: true });
  const gate = clock.register("a");
  gate.opened(10);
  clock.advanceTo(10);
  const at = gate.wait(10, never);
  clock.advanceTo(5);
  expect(clock.limit).toBe(10);
  expect(await isDone(at)).toBe(false);
  clock.advanceTo(11);
  expect(await isDone(at)).toBe(true);
});

test("settled waits for sources that have not opened, and for what is handed on but not committed", async () => {
  const clock = replayClock();
  const [a, b] = [clock.register("a"), clock.register("b")];
  const settled = clock.settled(100);
  a.opened(Number.POSITIVE_INFINITY);
  expect(await isDone(settled)).toBe(false);
  b.opened(50);
  b.report(100, true);
  expect(await isDone(settled)).toBe(false);
  b.report(100, false);
  expect(await isDone(settled)).toBe(true);
  expect(await isDone(clock.settled(101))).toBe(false);
});

test("settled rejects when a source leaves too early, and a source of the same name may take its place", async () => {
  const clock = replayClock();
  const gate = clock.register("a");
  gate.opened(50);
  const settled = clock.settled(100);
  gate.leave();
  await expect(settled).rejects.toMatchObject({ code: "REPLAY_SOURCE_LEFT" });
  await expect(clock.settled(50)).resolves.toBeUndefined();
  clock.register("a").opened(Number.POSITIVE_INFINITY);
  await expect(clock.settled(100)).resolves.toBeUndefined();
});

test("a bounded skew keeps the sources in step", async () => {
  const clock = replayClock({ maxSkewMs: 10 });
  const [a, b] = [clock.register("a"), clock.register("b")];
  a.opened(0);
  const ahead = a.wait(20, never);
  b.opened(5);
  expect(await isDone(ahead)).toBe(false);
  b.report(10, true);
  expect(await isDone(ahead)).toBe(true);
  const further = a.wait(21, never);
  expect(await isDone(further)).toBe(false);
  b.leave();
  expect(await isDone(further)).toBe(true);
});

test("an aborted wait rejects and leaves no timer behind", async () => {
  const time = fakeTime();
  const clock = replayClock({ speed: 1, ...time });
  const gate = clock.register("a");
  gate.opened(0);
  const abort = new AbortController();
  const wait = gate.wait(1000, abort.signal);
  expect(time.pending()).toBe(1);
  abort.abort(new Error("stopping"));
  await expect(wait).rejects.toThrow("stopping");
  expect(time.pending()).toBe(0);
});
