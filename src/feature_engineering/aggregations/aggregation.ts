import type { Value } from "../../definitions/value.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import type { FlatState } from "./flat-state.ts";

/**
 * Where an event stands among the events of one entity. Events compare by (eventTime, version, ingestedAt, payload
 * hash); the greatest is the latest. `hash0` holds the most significant 32 bits of the 128-bit payload hash, and the
 * four words compare as unsigned integers.
 */
export interface EventOrder {
  /** Epoch milliseconds. */
  readonly eventTime: number;
  /** The declared version column; null counts as smaller than any version. */
  readonly version: number | bigint | null;
  /** Epoch milliseconds. */
  readonly ingestedAt: number;
  readonly hash0: number;
  readonly hash1: number;
  readonly hash2: number;
  readonly hash3: number;
}

/**
 * A commutative monoid over the events of a tile. The finished value is a function of the *set* of events: it does not
 * depend, to the last bit, on how they were ordered, split or merged, and neither do the encoded bytes of equal sets.
 *
 * `add` and `merge` may change and return their first argument; `merge` never changes or keeps parts of its second.
 * `finish` and `encode` leave the state as it was.
 */
export interface Aggregation<State = unknown> {
  /** The name in plans, such as `sum`. */
  readonly name: string;
  /** True if null values are facts that `add` must see (`count`, `latest`, `last_n`); otherwise callers skip nulls. */
  readonly takesNulls: boolean;
  /**
   * The name of the state's layout. Aggregations of equal `state` over equal inputs may share one state: they differ
   * only in `finish` (`sum` and `mean`, for example).
   */
  readonly state: string;
  create(): State;
  add(state: State, value: Value, order: EventOrder): State;
  merge(into: State, other: State): State;
  /** The value of the window: null where the aggregation of these events has none. */
  finish(state: State): Value;
  encode(state: State, out: ByteWriter): void;
  decode(input: ByteReader): State;
  /** The same as `merge(into, decode(input))` without making the decoded state, where that is cheaper. */
  readonly mergeEncoded?: (into: State, input: ByteReader) => State;
  /** The same as `decode`, for a state that is not needed, where that is cheaper. */
  readonly skip?: (input: ByteReader) => void;
  /** The same state in a few doubles, where it has such a form. */
  readonly flat?: FlatState;
}
