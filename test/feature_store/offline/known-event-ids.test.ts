import fc from "fast-check";
import { expect, test } from "vitest";
import { knownEventIds, LARGEST_CAPACITY } from "../../../src/feature_store/offline/known-event-ids.ts";

const word = fc.integer({ min: 0, max: 0xffffffff });

test("never takes a known event for a new one", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(word, word), { maxLength: 500 }), (hashes) => {
      const known = knownEventIds(0);
      for (const [low, high] of hashes) known.add(low, high);
      for (const [low, high] of hashes) expect(known.add(low, high)).toBe(true);
    }),
  );
});

test("takes few new events for known ones while it is not full", () => {
  const known = knownEventIds(100_000);
  let wrong = 0;
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return (seed ^ Math.imul(seed >>> 15, 0x9e3779b1)) >>> 0;
  };
  for (let n = 0; n < known.capacity; n++) if (known.add(random(), random())) wrong++;
  expect(wrong).toBeLessThan(known.capacity / 5_000);
  expect(known.size).toBe(known.capacity - wrong);
});

test("stays within its memory", () => {
  expect(knownEventIds(1e9).capacity).toBe(LARGEST_CAPACITY);
});
