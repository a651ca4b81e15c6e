import fc from "fast-check";
import { expect, test } from "vitest";
import { kafkaPartition, takeBuffered } from "../../../src/ingestion/sources/kafka-partition.ts";
import type { RawMessage } from "../../../src/ingestion/stream-message.ts";

const message = (offset: number): RawMessage => ({
  partition: "t:0",
  offset,
  key: null,
  value: "{}",
  ingestedAt: offset * 10,
  headers: {},
});

test("what several fetches brought is taken in order, as much at a time as is wanted", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 }),
      (fetches, wishes) => {
        const partition = kafkaPartition("t", 0, 0);
        let next = 0;
        for (const size of fetches) {
          partition.buffered.push(Array.from({ length: size }, () => message(next++)));
          partition.bufferedCount += size;
        }
        const taken: number[] = [];
        for (let i = 0; partition.bufferedCount > 0; i++) {
          const most = wishes[i % wishes.length]!;
          const expected = Math.min(most, partition.bufferedCount);
          const batch = takeBuffered(partition, most);
          expect(batch.length).toBe(expected);
          taken.push(...batch.map(({ offset }) => offset));
          expect([partition.handedOut, partition.lastTaken]).toEqual([taken.at(-1), taken.at(-1)! * 10]);
        }
        expect(taken).toEqual(Array.from({ length: next }, (_, i) => i));
        expect(partition.buffered).toEqual([]);
      },
    ),
  );
});
