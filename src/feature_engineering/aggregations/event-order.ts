import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";
import type { EventOrder } from "./aggregation.ts";

/**
 * Below 0 if `a` is before `b`, above 0 if after, 0 if they are one place: by event time, version (null first),
 * arrival, then the four words of the payload hash as unsigned integers.
 */
export function compareEventOrder(a: EventOrder, b: EventOrder): number {
  if (a.eventTime !== b.eventTime) return a.eventTime < b.eventTime ? -1 : 1;
  if (a.version !== b.version) {
    if (a.version === null) return -1;
    if (b.version === null) return 1;
    // A number and a bigint may be equal here although they are not identical.
    if (a.version < b.version) return -1;
    if (a.version > b.version) return 1;
  }
  if (a.ingestedAt !== b.ingestedAt) return a.ingestedAt < b.ingestedAt ? -1 : 1;
  return (
    compareWords(a.hash0, b.hash0) ||
    compareWords(a.hash1, b.hash1) ||
    compareWords(a.hash2, b.hash2) ||
    compareWords(a.hash3, b.hash3)
  );
}

function compareWords(a: number, b: number): number {
  return (a >>> 0) - (b >>> 0);
}

/** Two zigzag varints for the times around the tagged version, then the hash in 16 bytes. */
export function encodeEventOrder(order: EventOrder, out: ByteWriter): void {
  out.zigzag(order.eventTime);
  out.value(order.version);
  out.zigzag(order.ingestedAt);
  out.u32(order.hash0);
  out.u32(order.hash1);
  out.u32(order.hash2);
  out.u32(order.hash3);
}

export function decodeEventOrder(input: ByteReader): EventOrder {
  return {
    eventTime: input.zigzag(),
    version: decodeVersion(input),
    ingestedAt: input.zigzag(),
    hash0: input.u32(),
    hash1: input.u32(),
    hash2: input.u32(),
    hash3: input.u32(),
  };
}

function decodeVersion(input: ByteReader): number | bigint | null {
  const version = input.value();
  if (version === null || typeof version === "number" || typeof version === "bigint") return version;
  throw malformedBytes("a version that is no number", input.position);
}
