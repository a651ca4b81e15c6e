import { describe, expect, it } from "vitest";
import { answerMemory } from "../../src/api/answer-memory.ts";

const isSame = (one: Buffer, other: Buffer): boolean =>
  one.buffer === other.buffer && one.byteOffset === other.byteOffset;

describe("answerMemory", () => {
  it("gives memory of the asked length, and what was given back again", () => {
    for (const length of [10, 16_383, 16_384, 16_385, 65_536, 100_000]) {
      const first = answerMemory.take(length);
      expect(first.length).toBe(length);
      const meanwhile = answerMemory.take(length);
      expect(isSame(meanwhile, first)).toBe(false);
      answerMemory.giveBack(first);
      const second = answerMemory.take(length);
      expect(second.length).toBe(length);
      expect(isSame(second, first)).toBe(length >= 16_384);
    }
  });

  it("does not keep more than its bound", () => {
    const large = Array.from({ length: 40 }, () => answerMemory.take(2 ** 20));
    for (const one of large) answerMemory.giveBack(one);
    const again = new Set(Array.from({ length: 40 }, () => answerMemory.take(2 ** 20).buffer));
    const kept = large.filter(({ buffer }) => again.has(buffer)).length;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThanOrEqual(32);
  });
});
