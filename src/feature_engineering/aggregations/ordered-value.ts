import type { Value } from "../../definitions/value.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import type { EventOrder } from "./aggregation.ts";
import { compareEventOrder, decodeEventOrder, encodeEventOrder } from "./event-order.ts";

/** A value and its place, copied in: callers may use their order object again for the next event. */
export interface OrderedValue extends EventOrder {
  value: Value;
  eventTime: number;
  version: number | bigint | null;
  ingestedAt: number;
  hash0: number;
  hash1: number;
  hash2: number;
  hash3: number;
}

export function createOrderedValue(value: Value, order: EventOrder): OrderedValue {
  return {
    value,
    eventTime: order.eventTime,
    version: order.version,
    ingestedAt: order.ingestedAt,
    hash0: order.hash0,
    hash1: order.hash1,
    hash2: order.hash2,
    hash3: order.hash3,
  };
}

export function setOrderedValue(entry: OrderedValue, value: Value, order: EventOrder): void {
  entry.value = value;
  entry.eventTime = order.eventTime;
  entry.version = order.version;
  entry.ingestedAt = order.ingestedAt;
  entry.hash0 = order.hash0;
  entry.hash1 = order.hash1;
  entry.hash2 = order.hash2;
  entry.hash3 = order.hash3;
}

/**
 * Compares a value at `order` with an entry. At equal places (only a collision of the payload hash makes two different
 * values of them) the values decide, so that the greatest does not depend on which came first.
 */
export function compareWithEntry(value: Value, order: EventOrder, entry: OrderedValue): number {
  return compareEventOrder(order, entry) || compareValues(value, entry.value);
}

/** A total order of values: by type (null, boolean, number, bigint, string, list), then naturally. */
export function compareValues(a: Value, b: Value): number {
  if (a === b) return 0;
  const rank = valueRank(a) - valueRank(b);
  if (rank !== 0) return rank;
  if (isList(a) && isList(b)) {
    for (let index = 0; index < Math.min(a.length, b.length); index++) {
      const difference = compareValues(a[index]!, b[index]!);
      if (difference !== 0) return difference;
    }
    return a.length - b.length;
  }
  return a! < b! ? -1 : a! > b! ? 1 : 0;
}

function isList(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

function valueRank(value: Value): number {
  if (value === null) return 0;
  if (typeof value === "boolean") return 1;
  if (typeof value === "number") return 2;
  if (typeof value === "bigint") return 3;
  return typeof value === "string" ? 4 : 5;
}

export function encodeOrderedValue(entry: OrderedValue, out: ByteWriter): void {
  encodeEventOrder(entry, out);
  out.value(entry.value);
}

export function decodeOrderedValue(input: ByteReader): OrderedValue {
  const order = decodeEventOrder(input);
  return createOrderedValue(input.value(), order);
}
