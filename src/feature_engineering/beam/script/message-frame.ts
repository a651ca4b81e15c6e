import type { ByteReader } from "../../encoding/byte-reader.ts";

/** Visits each message of a frame. */
export type VisitMessage = (
  index: number,
  /** Null: a tombstone, which is no event. */
  text: string | null,
  offset: number,
  /** Epoch milliseconds; null where the transport does not know. */
  arrival: number | null,
  partition: number,
) => void;

export interface FramePartition {
  readonly name: string;
  /** The first record of a CSV file; empty if there is none. */
  readonly header: string;
}

/** Reads the names of a frame's partitions: their number, then name and header of each. */
export function readPartitions(input: ByteReader): readonly FramePartition[] {
  return Array.from({ length: input.varint() }, () => ({ name: input.string(), header: input.string() }));
}

/**
 * Reads the rest of a frame: the number of messages, then of each its partition, how many characters of `text` are its
 * own, plus one (0: it has none), its offset, and its arrival plus one, zigzag (0: unknown).
 */
export function visitMessages(input: ByteReader, text: string, visit: VisitMessage): void {
  const count = input.varint();
  let at = 0;
  for (let index = 0; index < count; index++) {
    const partition = input.varint();
    const length = input.varint();
    const offset = input.zigzag();
    const arrival = input.zigzag();
    const end = length === 0 ? at : at + length - 1;
    // A byte order mark is not part of the text.
    const start = end > at && text.charCodeAt(at) === 0xfeff ? at + 1 : at;
    visit(index, length === 0 ? null : text.slice(start, end), offset, arrival === 0 ? null : arrival - 1, partition);
    at = end;
  }
}
