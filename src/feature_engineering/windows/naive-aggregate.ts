import type { AggregationSpec } from "../../definitions/aggregation-spec.ts";
import type { Value } from "../../definitions/value.ts";
import type { EventOrder } from "../aggregations/aggregation.ts";
import { estimateAboveLimit, exactDistinctLimit, hashValue } from "../aggregations/count-distinct.ts";
import { addHash, registerCount } from "../aggregations/hyper-log-log.ts";

/** One event as an aggregation sees it. */
export interface AggregatedEvent {
  readonly value: Value;
  readonly order: EventOrder;
}

/**
 * What an aggregation of these events is by definition: the oracle that the fast path is tested against, with which it
 * shares only the estimator of large distinct counts. Numbers are exact fractions until the last step.
 */
export function naiveAggregate(spec: AggregationSpec, events: readonly AggregatedEvent[]): Value {
  const values = events.map((event) => event.value).filter((value) => value !== null);
  const numbers = values as (number | bigint)[];
  const inOrder = [...events].sort((a, b) => (isBefore(a.order, b.order) ? -1 : isBefore(b.order, a.order) ? 1 : 0));
  switch (spec.name) {
    case "count":
      return events.length;
    case "sum":
      return finite(nearest(total(numbers.map(exact)), unit));
    case "mean":
      return mean(spec, numbers);
    case "variance":
      return variance(numbers);
    case "stddev": {
      const square = variance(numbers);
      return square === null ? null : Math.sqrt(square);
    }
    case "min":
      return numbers.reduce<Value>((a, b) => (a === null || b < (a as number) ? b : a), null);
    case "max":
      return numbers.reduce<Value>((a, b) => (a === null || b > (a as number) ? b : a), null);
    case "latest":
      return inOrder.at(-1)?.value ?? null;
    case "first":
      return inOrder.findLast((event) => event.order.eventTime === inOrder[0]!.order.eventTime)?.value ?? null;
    case "last_n":
      return inOrder.slice(-spec.n!).map((event) => event.value);
    case "count_distinct":
      return distinct(values);
    case "quantile":
      return values.length === 0 ? null : quantile(numbers, spec.probabilities![0]!);
    case "quantiles":
      return values.length === 0 ? null : spec.probabilities!.map((q) => quantile(numbers, q));
    case "top_k":
      return mostFrequent(spec, values);
    case "histogram": {
      const ends = [Number.NEGATIVE_INFINITY, ...spec.boundaries!, Number.POSITIVE_INFINITY];
      return ends.slice(1).map((end, i) => numbers.filter((x) => x >= ends[i]! && x < end).length);
    }
  }
}

/** Every double is an integer multiple of 1 / unit. */
const unit = 2n ** 1074n;

function exact(x: number | bigint): bigint {
  if (typeof x === "bigint") return x * unit;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, x);
  const bits = view.getBigUint64(0);
  const exponent = (bits >> 52n) & 0x7ffn;
  const fraction = bits & 0xfffffffffffffn;
  const magnitude = exponent === 0n ? fraction : (fraction + 2n ** 52n) << (exponent - 1n);
  return x < 0 ? -magnitude : magnitude;
}

/** In multiples of 1 / unit². Squares below 2^−960 are rounded, by definition. */
function exactSquare(x: number | bigint): bigint {
  return typeof x === "number" && Math.abs(x) < 2 ** -480 ? exact(x * x) * unit : exact(x) ** 2n;
}

function total(terms: readonly bigint[]): bigint {
  return terms.reduce((a, b) => a + b, 0n);
}

/**
 * The double nearest to a fraction, by way of its decimals, which the language rounds correctly. No double, and no
 * middle of two, has more than 1,075 decimals; a last digit stands for all that is left.
 */
function nearest(numerator: bigint, denominator: bigint): number {
  const scaled = (numerator < 0n ? -numerator : numerator) * 10n ** 1100n;
  const left = scaled % denominator === 0n ? 0 : 1;
  const magnitude = Number(`${scaled / denominator}${left}e-1101`);
  return numerator < 0n ? -magnitude : magnitude;
}

function finite(x: number): number | null {
  return Number.isFinite(x) ? x : null;
}

function mean(spec: AggregationSpec, numbers: readonly (number | bigint)[]): number | null {
  if (numbers.length === 0) return null;
  const sum = total(numbers.map(exact));
  if (spec.input!.kind === "int64") return nearest(sum, unit * BigInt(numbers.length));
  return finite(nearest(sum, unit) / numbers.length);
}

function variance(numbers: readonly (number | bigint)[]): number | null {
  const n = numbers.length;
  if (n < 2) return null;
  const numerator = BigInt(n) * total(numbers.map(exactSquare)) - total(numbers.map(exact)) ** 2n;
  return finite(Math.max(0, nearest(numerator, unit * unit)) / (n * (n - 1)));
}

function isBefore(a: EventOrder, b: EventOrder): boolean {
  const left = places(a);
  const right = places(b);
  const index = left.findIndex((place, at) => place < right[at]! || place > right[at]!);
  return index >= 0 && left[index]! < right[index]!;
}

function places(order: EventOrder): (number | bigint)[] {
  const version = order.version ?? Number.NEGATIVE_INFINITY;
  return [order.eventTime, version, order.ingestedAt, order.hash0, order.hash1, order.hash2, order.hash3];
}

function distinct(values: readonly Value[]): number {
  const byText = new Map(values.map((value) => [textOf(value), value]));
  if (byText.size <= exactDistinctLimit) return byText.size;
  const registers = new Uint8Array(registerCount);
  const hash = new Uint32Array(4);
  for (const value of byText.values()) {
    hashValue(value, hash);
    addHash(registers, hash[0]!, hash[1]!);
  }
  return estimateAboveLimit(registers);
}

/** The middle of the 64th part of a power of two that holds the value at the place ⌊q · (n − 1)⌋; the ends exactly. */
function quantile(numbers: readonly (number | bigint)[], q: number): number {
  const sorted = numbers.map(Number).sort((a, b) => a - b);
  const place = Math.floor(q * (sorted.length - 1));
  const value = sorted[place]!;
  if (place === 0 || place === sorted.length - 1) return value;
  const magnitude = Math.abs(value);
  let middle = 0;
  if (magnitude >= 2 ** -1022) {
    let power = 2 ** -1022;
    while (power <= magnitude / 2) power *= 2;
    const part = Math.floor((magnitude / power - 1) * 64);
    middle = power * (1 + (part + 0.5) / 64) * Math.sign(value);
  }
  return Math.min(sorted.at(-1)!, Math.max(sorted[0]!, middle));
}

function mostFrequent(spec: AggregationSpec, values: readonly Value[]): Value {
  const distinct = [...new Set(values)] as string[];
  if (distinct.length > spec.limit!) return null;
  const countOf = (value: Value): number => values.filter((other) => other === value).length;
  return distinct.sort((a, b) => countOf(b) - countOf(a) || (a < b ? -1 : 1)).slice(0, spec.n);
}

function textOf(value: Value): string {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? String(part) : part));
}
