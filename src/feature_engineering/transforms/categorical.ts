import type { Value } from "../../definitions/value.ts";
import { murmur3 } from "../encoding/murmur3.ts";
import { writeUtf8 } from "../encoding/utf8.ts";

type Evaluator = (row: readonly Value[]) => Value;

/** Maps each category to its position in the list. */
export function categoryIndex(categories: readonly string[]): ReadonlyMap<Value, number> {
  return new Map(categories.map((category, index) => [category, index]));
}

/** The position in the list from 0; −1 for values outside it, null for null. */
export function compileOneOf(input: Evaluator, categories: readonly string[]): Evaluator {
  const index = categoryIndex(categories);
  return (row) => {
    const value = input(row);
    return value === null ? null : (index.get(value) ?? -1);
  };
}

/** MurmurHash3_x86_128 (seed 0) of the text's UTF-8, its first word modulo `buckets`; null for null. */
export function compileHash(input: Evaluator, buckets: number): Evaluator {
  const words = new Uint32Array(4);
  let bytes = new Uint8Array(64);
  return (row) => {
    const value = input(row);
    if (value === null) return null;
    const text = value as string;
    // No UTF-16 unit takes more than three bytes.
    if (text.length * 3 > bytes.length) bytes = new Uint8Array(text.length * 3);
    murmur3(bytes, 0, writeUtf8(text, bytes, 0), 0, words);
    return words[0]! % buckets;
  };
}
