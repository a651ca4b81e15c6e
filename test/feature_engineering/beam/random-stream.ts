import fc from "fast-check";
import type { Agg } from "../../../src/definitions/aggregate.ts";
import type { FeatureViewMeta } from "../../../src/definitions/feature-view.ts";
import {
  count,
  countDistinct,
  derive,
  entity,
  featureView,
  first,
  histogram,
  lastN,
  latest,
  max,
  mean,
  memory,
  min,
  quantile,
  quantiles,
  stddev,
  streamSource,
  sum,
  t,
  topK,
  variance,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import type { SourceMeta } from "../../../src/definitions/source.ts";
import type { Value } from "../../../src/definitions/value.ts";

/** A message of a random stream. */
export interface RandomMessage {
  readonly partition: number;
  readonly offset: number;
  /** Null: a tombstone. */
  readonly text: string | null;
  /** Epoch milliseconds. */
  readonly arrival: number;
  /** What the text says; null if it is bad or a tombstone. */
  readonly row: readonly Value[] | null;
}

/** Random declarations of one source, and a random stream of its events. */
export interface RandomStream {
  readonly source: SourceMeta;
  readonly views: readonly FeatureViewMeta[];
  readonly messages: readonly RandomMessage[];
}

export const PARTITIONS = 2;

type AnyAggregate = Agg<unknown, string, unknown>;
/** How the wanted features of a source are made; the window is chosen beside. */
type MakeFeature = (columns: ReturnType<typeof declareSource>, window: readonly string[]) => AnyAggregate;

function declareSource(name: string, { clock, id, version, arrived }: SourceChoices) {
  return streamSource(name, {
    stream: memory(),
    clock,
    eventTime: "at",
    lateness: "1m",
    ...(id ? { id: "id" as const } : {}),
    ...(version ? { version: "rev" as const } : {}),
    ...(arrived ? { ingestedAt: "arrived" as const } : {}),
    schema: {
      id: t.string(),
      user: t.string().nullable(),
      shop: t.int32().nullable(),
      amount: t.float64().nullable(),
      cents: t.int64(),
      word: t.string().nullable(),
      flag: t.bool(),
      rev: t.int32(),
      at: t.timestamp(),
      arrived: t.timestamp(),
    },
  });
}

const user = entity("user", { user: t.string() });
const shop = entity("shop", { shop: t.int32() });
const pair = entity("pair", { shop: t.int32(), user: t.string() });

const WINDOWS = ["12s", "1m", "10m", "1h", "24h"] as const;
// The windows and the columns are chosen at random, which types cannot follow.
const over = (aggregate: { over(window: never): unknown }, window: readonly string[]): AnyAggregate =>
  aggregate.over((window.length === 1 ? window[0] : window) as never) as AnyAggregate;

const FEATURES: readonly MakeFeature[] = [
  (_, w) => over(count(), w),
  (c, w) => over(count().where(c.flag), w),
  (c, w) =>
    over(
      count().where({ word: c.word }, ({ word }) => word !== null && word.length > 2),
      w,
    ),
  (c, w) => over(sum(c.amount), w),
  (c, w) => over(sum(c.cents), w),
  (c, w) =>
    over(
      sum(c.amount).where({ shop: c.shop }, ({ shop: number }) => number === 1),
      w,
    ),
  (c, w) => over(mean(c.amount), w),
  (c, w) => over(variance(c.cents), w),
  (c, w) => over(stddev(c.amount), w),
  (c, w) => over(min(c.cents), w),
  (c, w) => over(max(c.amount), w),
  (c, w) => over(max(c.rev), w),
  (c, w) => over(countDistinct(c.word), w),
  (c, w) => over(quantile(c.amount, 0.5), w),
  (c, w) => over(quantiles(c.cents, [0.1, 0.9]), w),
  (c, w) => over(topK(c.word, 2, { limit: 4 }), w),
  (c, w) => over(histogram(c.amount, [-1, 0, 10]), w),
  (c, w) => over(latest(c.amount), w),
  (c, w) => over(first(c.word), w),
  (c) => latest(c.cents) as AnyAggregate,
  (c) => latest(c.word).ttl("10m") as AnyAggregate,
  (c) => first(c.amount).where(c.flag) as AnyAggregate,
  (c) => lastN(c.word, 3) as AnyAggregate,
  (c, w) =>
    over(
      sum(
        derive({ amount: c.amount, cents: c.cents }, t.float64().nullable(), ({ amount, cents }) =>
          amount === null ? null : amount * 3 - Number(cents) / 7,
        ),
      ),
      w,
    ),
  (c, w) =>
    over(
      // Fails where there is no word.
      countDistinct(derive({ word: c.word }, t.string().nullable(), ({ word }) => (word as string).toUpperCase())),
      w,
    ),
];

interface SourceChoices {
  readonly clock: "wall" | "stream";
  readonly id: boolean;
  readonly version: boolean;
  readonly arrived: boolean;
}

interface EventChoices {
  readonly fresh: boolean;
  readonly like: number;
  readonly kind: "event" | "repeat" | "conflict" | "correction" | "bad" | "tombstone";
  readonly row: readonly [string | null, number | null, number | null, bigint, string | null, boolean, number, number];
  readonly at: number;
  readonly bad: string;
}

/** Longer than a key is anywhere else. */
const LONG = "very long ".repeat(500);

const eventChoices: fc.Arbitrary<EventChoices> = fc.record(
  {
    fresh: fc.boolean(),
    like: fc.nat(),
    kind: fc.oneof(
      { weight: 12, arbitrary: fc.constant("event" as const) },
      { weight: 2, arbitrary: fc.constant("repeat" as const) },
      { weight: 1, arbitrary: fc.constant("conflict" as const) },
      { weight: 2, arbitrary: fc.constant("correction" as const) },
      { weight: 1, arbitrary: fc.constant("bad" as const) },
      { weight: 1, arbitrary: fc.constant("tombstone" as const) },
    ),
    row: fc.tuple(
      fc.constantFrom("a", "b", "ü", "日本", "\ud800", "nul\u0000", LONG, null),
      fc.constantFrom(1, 2, -7, null),
      fc.oneof(
        fc.constant(null),
        fc.integer({ min: -5_000, max: 5_000 }).map((cents) => cents / 100 + 0),
        fc.constantFrom(1e16, -1e16, 1e-300, 0.1, 5e-324),
      ),
      fc.oneof(fc.bigInt({ min: -1_000n, max: 1_000n }), fc.constantFrom(2n ** 53n + 1n, 2n ** 63n - 1n, -(2n ** 63n))),
      fc.constantFrom("x", "yes", "größe", "😀😀", "", 'a"b\\c', "\udc00\ud800", "\u0000", "\ufeffx", null),
      fc.boolean(),
      fc.nat(3),
      fc.nat(50),
    ),
    // Most are near each other, some are late by hours or days.
    at: fc.oneof(
      { weight: 8, arbitrary: fc.nat(600_000) },
      { weight: 2, arbitrary: fc.nat(2 * 3_600_000) },
      { weight: 1, arbitrary: fc.nat(3 * 86_400_000) },
      { weight: 2, arbitrary: fc.nat(10).map((n) => n * 60_000) },
    ),
    bad: fc.constantFrom(
      "{",
      "nothing",
      "[1,2]",
      '"a"',
      "{}",
      '{"id":"b1"}',
      '{"id":"b2","user":"a","shop":1,"amount":"much","cents":1,"word":"x","flag":true,"rev":0,"at":0,"arrived":0}',
      '{"id":"b3","user":"a","shop":1.5,"amount":1,"cents":1,"word":"x","flag":true,"rev":0,"at":0,"arrived":0}',
      '{"id":"b4","user":"a","shop":1,"amount":1,"cents":1,"word":"x","flag":true,"rev":0,"at":"soon","arrived":0}',
    ),
  },
  { noNullPrototype: true },
);

export interface RandomStreamOptions {
  readonly name: string;
  /** Events are at or before it, epoch milliseconds. */
  readonly end: number;
  readonly maxEvents: number;
  readonly minEvents?: number;
  readonly clock?: "wall" | "stream";
}

/**
 * Random declarations and events: late ones, repeats of a known id (also with another payload), corrections, null keys,
 * bad messages and tombstones. Messages of one id share a partition, and repeats arrive as their events did.
 */
export function randomStream(options: RandomStreamOptions): fc.Arbitrary<RandomStream> {
  const { name, end, maxEvents, minEvents = 0 } = options;
  return fc
    .record({
      source: fc.record({
        clock: options.clock === undefined ? fc.constantFrom("wall", "stream") : fc.constant(options.clock),
        id: fc.oneof({ weight: 3, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
        version: fc.boolean(),
        arrived: fc.boolean(),
      }),
      views: fc.array(
        fc.record({
          entity: fc.constantFrom(user, shop, pair),
          features: fc.uniqueArray(fc.nat(FEATURES.length - 1), { minLength: 1, maxLength: 6 }),
          windows: fc.array(fc.uniqueArray(fc.constantFrom(...WINDOWS), { minLength: 1, maxLength: 2 }), {
            minLength: 6,
            maxLength: 6,
          }),
        }),
        { minLength: 1, maxLength: 3 },
      ),
      events: fc.array(eventChoices, { minLength: minEvents, maxLength: maxEvents }),
    })
    .map(({ source: choices, views, events }) => {
      const source = declareSource(name, choices as SourceChoices);
      return {
        source: source[Meta],
        views: views.map(({ entity: of, features, windows }, index) => {
          const made = features.map((feature, i) => [`f${i}`, FEATURES[feature]!(source, windows[i]!)] as const);
          // Every entity's keys are columns of the source; which one it is, types cannot follow.
          const declared = { source, entity: of, features: Object.fromEntries(made) } as never;
          return (featureView(`${name}_view_${index}`, declared) as { readonly [Meta]: FeatureViewMeta })[Meta];
        }),
        messages: messagesOf(events, choices as SourceChoices, end),
      };
    });
}

function messagesOf(events: readonly EventChoices[], choices: SourceChoices, end: number): RandomMessage[] {
  const rows: Value[][] = [];
  const offsets = new Array<number>(PARTITIONS).fill(0);
  return events.map((event, index) => {
    const made = rowOf(event, index, rows, end);
    const row = event.kind === "bad" || event.kind === "tombstone" ? null : made;
    if (row !== null) rows.push(row);
    const partition = partitionOf(row === null ? String(index) : (row[0] as string));
    return {
      partition,
      offset: offsets[partition]!++,
      text: row !== null ? textOf(row) : event.kind === "bad" ? event.bad : null,
      // Without a column of its own the arrival is the event time, in files as on a topic.
      arrival: (choices.arrived ? made[9] : made[8]) as number,
      row,
    };
  });
}

function rowOf(event: EventChoices, index: number, rows: readonly Value[][], end: number): Value[] {
  const [name, number, amount, cents, word, flag, rev, delay] = event.row;
  const time = end - event.at;
  const own: Value[] = [`e${index}`, name, number, amount, cents, word, flag, rev, time, time + delay * 1_000];
  const like = rows[event.like % Math.max(1, rows.length)];
  if (like === undefined) return own;
  if (event.kind === "repeat") return [...like];
  // Another payload under a known id and time.
  if (event.kind === "conflict") return [...like].map((value, i) => (i === 4 ? (value as bigint) / 2n + 3n : value));
  // A new id, the same moment and entity, often a larger version.
  if (event.kind === "correction") {
    return [`e${index}`, like[1]!, like[2]!, amount, cents, word, flag, (like[7] as number) + rev, like[8]!, like[9]!];
  }
  return own;
}

function partitionOf(id: string): number {
  let sum = 0;
  for (let i = 0; i < id.length; i++) sum += id.charCodeAt(i);
  return sum % PARTITIONS;
}

const NAMES = ["id", "user", "shop", "amount", "cents", "word", "flag", "rev", "at", "arrived"];

function textOf(row: readonly Value[]): string {
  const fields = row.map((value, index) => {
    const text = typeof value === "bigint" ? String(value) : JSON.stringify(value);
    return value === null && index === 3 ? null : `${JSON.stringify(NAMES[index])}:${text}`;
  });
  // A column that may be null may also be absent.
  return `{${fields.filter((field) => field !== null).join(",")}}`;
}
