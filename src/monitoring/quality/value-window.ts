import { numberBin } from "../../feature_engineering/profiles/profile-builder.ts";
import type { ValueProfile } from "../../feature_engineering/profiles/value-profile.ts";

/** The values of the last sub-windows, as counts in the bins of a profile: memory and each value's cost are constant. */
export interface ValueWindow {
  readonly profile: ValueProfile;
  /** Over all sub-windows; one array that `add` and `rotate` change. */
  readonly bins: Uint32Array;
  readonly nulls: number;
  readonly outOfRange: number;
  /** What is no number counts as null in a column of numbers. */
  add(value: unknown): void;
  /** Begins a sub-window, and forgets the oldest. */
  rotate(): void;
}

export function valueWindow(profile: ValueProfile, subWindows: number): ValueWindow {
  const size = profile.shares.length;
  const nulls = size;
  const outside = size + 1;
  const width = size + 2;
  const parts = new Uint32Array(width * subWindows);
  const totals = new Uint32Array(width);
  const bins = totals.subarray(0, size);
  let offset = 0;
  const count = (at: number): void => {
    parts[offset + at]!++;
    totals[at]!++;
  };
  const add = profile.kind === "number" ? numberAdder(profile, count, nulls, outside) : categoryAdder(profile, count);
  return {
    profile,
    bins,
    get nulls() {
      return totals[nulls]!;
    },
    get outOfRange() {
      return totals[outside]!;
    },
    add,
    rotate() {
      offset = (offset + width) % parts.length;
      for (let i = 0; i < width; i++) totals[i]! -= parts[offset + i]!;
      parts.fill(0, offset, offset + width);
    },
  };
}

function numberAdder(
  { edges, min, max }: Extract<ValueProfile, { kind: "number" }>,
  count: (at: number) => void,
  nulls: number,
  outside: number,
): (value: unknown) => void {
  const bounds = Float64Array.from(edges);
  const least = min ?? Number.NEGATIVE_INFINITY;
  const most = max ?? Number.POSITIVE_INFINITY;
  return (value) => {
    const number = typeof value === "bigint" ? Number(value) : value;
    if (typeof number !== "number" || !Number.isFinite(number)) return count(nulls);
    count(numberBin(bounds, number));
    if (number < least || number > most) count(outside);
  };
}

function categoryAdder(
  { categories }: Extract<ValueProfile, { kind: "category" }>,
  count: (at: number) => void,
): (value: unknown) => void {
  const places = new Map(categories.map((category, index) => [category, index]));
  const others = categories.length;
  return (value) => {
    if (value === null || value === undefined) count(others + 1);
    else count(places.get(typeof value === "string" ? value : String(value)) ?? others);
  };
}
