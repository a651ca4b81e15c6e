import type { EventOrder } from "../aggregations/aggregation.ts";
import type { Position } from "../windows/entity-state.ts";
import type { EvaluatedEvent } from "../windows/fold-event.ts";

/** The states of many entities of one view, by row number; what they are encoded into is the packed value. */
export interface EntityTable {
  /** The state that the bytes hold (their positions aside), or one of no events for null. */
  load(row: number, bytes: Uint8Array | null, completeFrom: number): void;
  /** Adds an event, as `foldEvent` does. */
  fold(row: number, event: EventOrder, evaluated: EvaluatedEvent, clock: number): void;
  /**
   * Drops what the clock says is not needed, and encodes the state with these positions. The bytes are valid until
   * `encoded` is called again.
   */
  encode(rows: ArrayLike<number>, clock: number, positionsOf: (row: number) => readonly Position[]): Uint8Array[];
  /** The largest event time; −Infinity for no events. */
  maxEventTime(row: number): number;
  /** Forgets the state; the row may be loaded again. */
  release(row: number): void;
}
