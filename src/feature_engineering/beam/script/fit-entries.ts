import type { EventOrder } from "../../aggregations/aggregation.ts";
import type { ByteReader } from "../../encoding/byte-reader.ts";
import type { ByteWriter } from "../../encoding/byte-writer.ts";
import type { EvaluatedEvent } from "../../windows/fold-event.ts";
import type { FitView } from "./fit-plan.ts";

/** An event's place in the order of events, to be filled again and again. */
export interface EntryOrder extends EventOrder {
  eventTime: number;
  version: number | bigint | null;
  ingestedAt: number;
  hash0: number;
  hash1: number;
  hash2: number;
  hash3: number;
}

export function createEntryOrder(): EntryOrder {
  return { eventTime: 0, version: null, ingestedAt: 0, hash0: 0, hash1: 0, hash2: 0, hash3: 0 };
}

/**
 * Writes what the features of a view aggregate of an event: the length of the rest (32 bits), from when it is known and
 * its event time, its place in the order of events where that matters, predicates and inputs.
 */
export function writeEventEntry(
  { layout, ordered }: FitView,
  known: number,
  event: EventOrder,
  { inputs, wheres }: EvaluatedEvent,
  out: ByteWriter,
): void {
  const at = out.position;
  out.u32(0);
  out.zigzag(known);
  out.zigzag(event.eventTime);
  if (ordered) {
    out.value(event.version);
    out.zigzag(event.ingestedAt);
    out.u32(event.hash0);
    out.u32(event.hash1);
    out.u32(event.hash2);
    out.u32(event.hash3);
  }
  for (let i = 0; i < layout.wheres.length; i++) out.u8(wheres[i] ? 1 : 0);
  for (let i = 0; i < layout.inputs.length; i++) out.value(inputs[i]!);
  out.patchU32(at, out.position - at - 4);
}

/** Reads an entry from its event time on. */
export function readEventEntry(
  { layout, ordered }: FitView,
  input: ByteReader,
  order: EntryOrder,
  { inputs, wheres }: EvaluatedEvent,
): void {
  order.eventTime = input.zigzag();
  if (ordered) {
    order.version = input.value() as EventOrder["version"];
    order.ingestedAt = input.zigzag();
    order.hash0 = input.u32();
    order.hash1 = input.u32();
    order.hash2 = input.u32();
    order.hash3 = input.u32();
  }
  for (let i = 0; i < layout.wheres.length; i++) wheres[i] = input.u8() === 1;
  for (let i = 0; i < layout.inputs.length; i++) inputs[i] = input.value();
}
