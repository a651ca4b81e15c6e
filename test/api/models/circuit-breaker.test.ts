import { describe, expect, it } from "vitest";
import { type BreakerState, circuitBreaker } from "../../../src/api/models/circuit-breaker.ts";

function make() {
  const states: BreakerState[] = [];
  const clock = { now: 0 };
  const breaker = circuitBreaker({ failures: 3, openMs: 100, now: () => clock.now, onChange: (s) => states.push(s) });
  const fail = (times: number): void => {
    for (let i = 0; i < times; i++) breaker.failed();
  };
  return { breaker, states, clock, fail };
}

describe("a circuit breaker", () => {
  it("opens after so many failures in a row, not before", () => {
    const { breaker, states, fail } = make();
    fail(2);
    breaker.succeeded();
    fail(2);
    expect([breaker.admits(), states]).toEqual([true, []]);
    fail(1);
    expect([breaker.admits(), states, breaker.waitMs]).toEqual([false, ["open"], 100]);
  });

  it("lets one request try when its time is over, and closes if that succeeds", () => {
    const { breaker, states, clock, fail } = make();
    fail(3);
    clock.now = 99;
    expect(breaker.admits()).toBe(false);
    clock.now = 100;
    expect([breaker.admits(), breaker.admits(), breaker.admits()]).toEqual([true, false, false]);
    breaker.succeeded();
    expect([breaker.admits(), breaker.admits()]).toEqual([true, true]);
    expect(states).toEqual(["open", "half_open", "closed"]);
  });

  it("stays open twice as long each time that the trial fails, up to 16 times", () => {
    const { breaker, clock, fail } = make();
    fail(3);
    for (const factor of [1, 2, 4, 8, 16, 16]) {
      expect(breaker.waitMs).toBe(100 * factor);
      clock.now += 100 * factor;
      expect(breaker.admits()).toBe(true);
      breaker.failed();
    }
  });

  it("is not closed by an answer to what was asked before it opened, and begins anew after a trial that says nothing", () => {
    const { breaker, clock, fail } = make();
    fail(3);
    breaker.succeeded();
    expect(breaker.state).toBe("open");
    clock.now = 100;
    expect(breaker.admits()).toBe(true);
    breaker.abandoned();
    expect(breaker.admits()).toBe(true);
  });
});
