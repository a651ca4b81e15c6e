import type { Value } from "../../definitions/value.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";

/** What of an exact sum does not fit its doubles: see `ExactSum`. */
export interface SumOverflow {
  rest: number[] | null;
  big: bigint;
}

/** By the place of a sum's first double. Almost always empty. */
export type SumOverflows = Map<number, SumOverflow>;

/**
 * An aggregation's state as a few doubles of a shared array, from `at` on: where very many are kept, objects would cost
 * several times the memory and the time. The bytes are those of the aggregation's own `encode`.
 */
export interface FlatState {
  /** How many doubles. */
  readonly width: number;
  create(into: Float64Array, at: number, overflows: SumOverflows): void;
  add(into: Float64Array, at: number, value: Value, overflows: SumOverflows): void;
  encode(from: Float64Array, at: number, out: ByteWriter, overflows: SumOverflows): void;
  /** Makes a state of what `encode` wrote; there need not be one yet. */
  decode(input: ByteReader, into: Float64Array, at: number, overflows: SumOverflows): void;
}
