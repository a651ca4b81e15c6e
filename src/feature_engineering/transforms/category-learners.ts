import type { CategoryEncoding } from "../../definitions/expression.ts";
import type { Value } from "../../definitions/value.ts";
import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { type Category, readCategory, sortCategories, writeCategory } from "./category.ts";
import { type FitPlace, fitTooLarge } from "./fit-error.ts";
import { MAX_CATEGORIES } from "./fitted-shape.ts";
import type { Learner } from "./learner.ts";

interface Counter {
  /** Rows, nulls included. */
  rows: number;
  readonly counts: Map<Category, number>;
  add(value: Value): void;
  encode(out: ByteWriter): void;
  merge(input: ByteReader): void;
}

function createCounter(place: FitPlace, countNulls: boolean): Counter {
  const counts = new Map<Category, number>();
  function count(category: Category, times: number): void {
    const known = counts.get(category);
    if (known === undefined && counts.size >= MAX_CATEGORIES) throw fitTooLarge(place);
    counts.set(category, (known ?? 0) + times);
  }
  const counter: Counter = {
    rows: 0,
    counts,
    add(value) {
      counter.rows++;
      if (value !== null || countNulls) count(value as Category, 1);
    },
    encode(out) {
      out.varint(counter.rows);
      out.varint(counts.size);
      for (const category of sortCategories(counts.keys())) {
        writeCategory(category, out);
        out.varint(counts.get(category)!);
      }
    },
    merge(input) {
      counter.rows += input.varint();
      for (let left = input.varint(); left > 0; left--) count(readCategory(input), input.varint());
    },
  };
  return counter;
}

/** Learns which categories there are, and which of them are infrequent. */
export function createCategoryLearner(
  declared: readonly string[] | null,
  encoding: CategoryEncoding,
  place: FitPlace,
): Learner {
  const nulls = encoding.nulls === "category";
  const counter = createCounter(place, nulls);
  const known = declared === null ? null : new Set<Value>(declared);
  return {
    add: (value) => {
      if (known === null || value === null || known.has(value)) counter.add(value);
      else counter.rows++;
    },
    encode: counter.encode,
    merge: counter.merge,
    finish: () => {
      const { counts, rows } = counter;
      const all = declared === null ? sortCategories(counts.keys()) : nulls ? [...declared, null] : [...declared];
      const infrequent = infrequentOf(
        all.map((category) => counts.get(category) ?? 0),
        rows,
        encoding,
      );
      if (infrequent.size === 0) return { kind: "ordinal", categories: all };
      return {
        kind: "ordinal",
        categories: all.filter((_, index) => !infrequent.has(index)),
        infrequent: all.filter((_, index) => infrequent.has(index)),
      };
    },
  };
}

/** The positions of the infrequent categories: too rare, or too many; of equally frequent ones the first go. */
function infrequentOf(counts: readonly number[], rows: number, encoding: CategoryEncoding): ReadonlySet<number> {
  const { min_frequency: least, max_categories: most } = encoding;
  const needed = least === null ? 0 : least < 1 ? rows * least : least;
  const infrequent = new Set<number>();
  for (const [index, count] of counts.entries()) if (count < needed) infrequent.add(index);
  // As in scikit-learn, a code is kept free for infrequent categories even if there are none yet.
  if (most === null || most >= counts.length - infrequent.size + 1) return infrequent;
  const rarest = [...counts.keys()].sort((a, b) => counts[a]! - counts[b]! || a - b);
  for (const index of rarest.slice(0, counts.length - (most - 1))) infrequent.add(index);
  return infrequent;
}

/** Learns the most frequent text, of several the first in order; `none` if there is no text. */
export function createTextImputer(none: string, place: FitPlace): Learner {
  const counter = createCounter(place, false);
  return {
    add: counter.add,
    encode: counter.encode,
    merge: counter.merge,
    finish: () => {
      let best = none;
      let most = 0;
      for (const [category, count] of counter.counts) {
        if (count > most || (count === most && category! < best)) {
          best = category!;
          most = count;
        }
      }
      return { kind: "impute_text", value: best };
    },
  };
}

/** Learns in how many rows each category is. */
export function createFrequencyLearner(nulls: boolean, place: FitPlace): Learner {
  const counter = createCounter(place, nulls);
  return {
    add: counter.add,
    encode: counter.encode,
    merge: counter.merge,
    finish: () => {
      const categories = sortCategories(counter.counts.keys());
      const counts = categories.map((category) => counter.counts.get(category)!);
      return { kind: "frequency", categories, counts, rows: counts.reduce((sum, count) => sum + count, 0) };
    },
  };
}
