import { malformedBytes } from "../encoding/encoding-errors.ts";
import type { FlatState } from "./flat-state.ts";

/** The largest or smallest number, in one double; NaN, which no value is, for none. */
function flatExtreme(isBetter: (value: number, state: number) => boolean): FlatState {
  return {
    width: 1,
    create(into, at) {
      into[at] = Number.NaN;
    },
    add(into, at, value) {
      const state = into[at]!;
      if (Number.isNaN(state) || isBetter(value as number, state)) into[at] = value as number;
    },
    encode(from, at, out) {
      const state = from[at]!;
      out.value(Number.isNaN(state) ? null : state);
    },
    decode(input, into, at) {
      const value = input.value();
      if (value !== null && typeof value !== "number") {
        throw malformedBytes("an extreme that is no number", input.position);
      }
      into[at] = value ?? Number.NaN;
    },
  };
}

export const flatMax: FlatState = flatExtreme((value, state) => value > state);
export const flatMin: FlatState = flatExtreme((value, state) => value < state);
