import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { largeTurns } from "../../../src/api/direct/large-turns.ts";

describe("the work of large requests", () => {
  it("is done once in each turn, what began first before the others", async () => {
    const done: number[] = [];
    const turns = largeTurns();
    const add = (begunAt: number): void => turns.add(begunAt, () => void done.push(begunAt));
    for (const begunAt of [30, 10, 40, 20]) add(begunAt);
    expect(done).toEqual([]);
    for (const expected of [[10], [10, 20]]) {
      await nextTurn();
      expect(done).toEqual(expected);
    }
    add(5);
    for (const expected of [5, 30, 40]) {
      await nextTurn();
      expect(done.at(-1)).toBe(expected);
    }
    await nextTurn();
    add(1);
    await nextTurn();
    expect(done).toEqual([10, 20, 5, 30, 40, 1]);
  });
});
