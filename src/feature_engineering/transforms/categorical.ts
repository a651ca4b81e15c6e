import { millraceError } from "../../definitions/errors.ts";
import type { CategoryEncoding } from "../../definitions/expression.ts";
import type { Value } from "../../definitions/value.ts";
import { murmur3 } from "../encoding/murmur3.ts";
import { murmur3x32 } from "../encoding/murmur3-32.ts";
import { writeUtf8 } from "../encoding/utf8.ts";
import type { FittedFrequency, FittedOrdinal, FittedTarget } from "./fitted-state.ts";

type Evaluator = (row: readonly Value[]) => Value;

/** Maps each category to its position in the list. */
export function categoryIndex(categories: readonly (string | null)[]): ReadonlyMap<Value, number> {
  return new Map(categories.map((category, index) => [category, index]));
}

/** The position in the list from 0; −1 for values outside it, null for null. */
export function compileOneOf(input: Evaluator, categories: readonly (string | null)[]): Evaluator {
  const index = categoryIndex(categories);
  return (row) => {
    const value = input(row);
    return value === null ? null : (index.get(value) ?? -1);
  };
}

/** The code of each category, as the encoding says; the infrequent ones share the code after the last. */
export function compileCodes(
  input: Evaluator,
  { categories, infrequent }: Pick<FittedOrdinal, "categories" | "infrequent">,
  encoding: CategoryEncoding,
  feature: string,
): Evaluator {
  const codes = new Map<Value, number>(categoryIndex(categories));
  for (const category of infrequent ?? []) codes.set(category, categories.length);
  const { nulls } = encoding;
  const unknown = unknownCode(encoding, infrequent === undefined ? null : categories.length, feature);
  return (row) => {
    const value = input(row);
    if (value === null && nulls !== "category") return nulls;
    const code = codes.get(value);
    return code === undefined ? unknown(value) : code;
  };
}

function unknownCode(
  { unknown }: CategoryEncoding,
  infrequent: number | null,
  feature: string,
): (value: Value) => number | null {
  if (unknown === "error") {
    return (value) => {
      throw unknownCategory(feature, value);
    };
  }
  // To a one-hot, −1 is no column.
  const code = unknown === "infrequent" ? (infrequent ?? -1) : unknown;
  return () => code;
}

/** `CATEGORY_UNKNOWN`: a value that a transform was declared to refuse. */
export function unknownCategory(feature: string, value: Value): Error {
  return millraceError(
    "CATEGORY_UNKNOWN",
    `Feature '${feature}' got the category ${value === null ? "null" : JSON.stringify(String(value).slice(0, 100))}, which is not among those that it knows, and was declared with unknown: "error". Send a known category, fit the service on a newer training set, or declare what an unknown one becomes.`,
    { details: { feature } },
  );
}

/** In how many training rows the category was, or in which share of them. */
export function compileFrequency(
  input: Evaluator,
  { categories, counts, rows }: FittedFrequency,
  rule: { readonly relative: boolean; readonly nulls: "null" | "category" },
): Evaluator {
  const values = new Map<Value, number>(
    categories.map((category, index) => [category, rule.relative ? counts[index]! / rows : counts[index]!]),
  );
  return (row) => {
    const value = input(row);
    return value === null && rule.nulls === "null" ? null : (values.get(value) ?? 0);
  };
}

/** Reads the encoding of a class: null for null, if that is no category. */
export type TargetReader = (value: Value, column: number) => number | null;

export function targetReader({ categories, encodings, means }: FittedTarget, nulls: "null" | "category"): TargetReader {
  const index = categoryIndex(categories);
  return (value, column) => {
    if (value === null && nulls === "null") return null;
    const position = index.get(value);
    return (position === undefined ? means[column] : encodings[column]![position])!;
  };
}

/** MurmurHash3_x86_128 (seed 0) of the text's UTF-8, its first word modulo `buckets`; null for null. */
export function compileHash(input: Evaluator, buckets: number): Evaluator {
  const words = new Uint32Array(4);
  const hash = hasherOfUtf8((bytes, length) => {
    murmur3(bytes, 0, length, 0, words);
    return words[0]!;
  });
  return (row) => {
    const value = input(row);
    return value === null ? null : hash(value as string) % buckets;
  };
}

/** The bucket that scikit-learn's FeatureHasher puts the text into; null for null. */
export function compileHash32(input: Evaluator, buckets: number): Evaluator {
  const hash = hasher32();
  return (row) => {
    const value = input(row);
    return value === null ? null : Math.abs(hash(value as string)) % buckets;
  };
}

/** MurmurHash3_x86_32 (seed 0) of a text's UTF-8, signed. */
export function hasher32(): (text: string) => number {
  return hasherOfUtf8((bytes, length) => murmur3x32(bytes, 0, length, 0));
}

function hasherOfUtf8(hash: (bytes: Uint8Array, length: number) => number): (text: string) => number {
  let bytes = new Uint8Array(64);
  return (text) => {
    // No UTF-16 unit takes more than three bytes.
    if (text.length * 3 > bytes.length) bytes = new Uint8Array(text.length * 3);
    return hash(bytes, writeUtf8(text, bytes, 0));
  };
}
