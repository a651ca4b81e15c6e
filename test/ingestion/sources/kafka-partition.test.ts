import fc from "fast-check";
import { expect, test } from "vitest";
import { addBuffered, kafkaPartition, takeBuffered } from "../../../src/ingestion/sources/kafka-partition.ts";
import type { RawMessage } from "../../../src/ingestion/stream-message.ts";

const message = (offset: number): RawMessage => ({
  partition: "t:0",
  offset,
  key: Buffer.from("key"),
  value: Buffer.from("{}"),
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
          addBuffered(
            partition,
            Array.from({ length: size }, () => message(next++)),
          );
        }
        const taken: number[] = [];
        for (let i = 0; partition.bufferedCount > 0; i++) {
          const most = wishes[i % wishes.length]!;
          const expected = Math.min(most, partition.bufferedCount);
          const before = partition.bufferedBytes;
          const batch = takeBuffered(partition, most);
          expect(before - partition.bufferedBytes).toBe(batch.length * 5);
          expect(batch.length).toBe(expected);
          taken.push(...batch.map(({ offset }) => offset));
          expect([partition.handedOut, partition.lastTaken]).toEqual([taken.at(-1), taken.at(-1)! * 10]);
        }
        expect(taken).toEqual(Array.from({ length: next }, (_, i) => i));
        expect(partition.buffered).toEqual([]);
        expect(partition.bufferedBytes).toBe(0);
      },
    ),
  );
});
