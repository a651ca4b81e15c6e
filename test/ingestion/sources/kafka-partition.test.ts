import fc from "fast-check";
import { expect, test } from "vitest";
import {
  addBuffered,
  type KafkaPartition,
  kafkaPartition,
  lagOf,
  noteAnswered,
  noteHandled,
  noteUnanswered,
  takeBuffered,
} from "../../../src/ingestion/sources/kafka-partition.ts";
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

/** A partition of which everything below `next` was fetched, and everything below `handled` handled. */
function readUpTo(next: number, handled: number): KafkaPartition {
  const partition = kafkaPartition("t", 0, 0);
  addBuffered(
    partition,
    Array.from({ length: next }, (_, offset) => message(offset)),
  );
  partition.next = next;
  takeBuffered(partition, handled);
  noteHandled(partition, handled - 1);
  return partition;
}

test("a leader that knows of less than the one before does not make the lag smaller", () => {
  const partition = readUpTo(10, 6);
  expect(lagOf(partition, 0).messages).toBeNull();
  noteAnswered(partition, 10);
  expect(lagOf(partition, 0).messages).toBe(4);
  noteAnswered(partition, 6);
  expect(lagOf(partition, 0).messages).toBe(4);
  noteAnswered(partition, 12);
  expect(lagOf(partition, 0).messages).toBe(6);
});

test("a partition for which nobody answers has not caught up, whatever was known of it", () => {
  const partition = readUpTo(10, 10);
  noteAnswered(partition, 10);
  expect(lagOf(partition, 91)).toEqual({ partition: "t:0", messages: 0, seconds: 0 });
  noteUnanswered(partition);
  expect(lagOf(partition, 91)).toEqual({ partition: "t:0", messages: null, seconds: 0.001 });
  noteAnswered(partition, 12);
  noteUnanswered(partition);
  expect(lagOf(partition, 91).messages).toBe(2);
});
