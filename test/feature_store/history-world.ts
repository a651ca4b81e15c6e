import fc from "fast-check";
import {
  count,
  countDistinct,
  derive,
  entity,
  featureService,
  featureView,
  lastN,
  latest,
  max,
  mean,
  memory,
  min,
  stddev,
  streamSource,
  sum,
  t,
  tableSource,
} from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";
import type { SourceMeta } from "../../src/definitions/source.ts";
import type { Value } from "../../src/definitions/value.ts";
import { createMessageLogger } from "../../src/feature_engineering/engine/message-logger.ts";
import { compileEventExpression } from "../../src/feature_engineering/transforms/compile-event-expression.ts";
import { naiveFeatures } from "../../src/feature_engineering/windows/naive-window.ts";
import type { FeatureStatus } from "../../src/feature_engineering/windows/read-features.ts";
import { type HistoricalInputs, statusOf } from "../../src/feature_store/historical-inputs.ts";
import type { LabelFrame } from "../../src/feature_store/label-groups.ts";
import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import { createServiceRuntime } from "../../src/feature_store/service-runtime.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";

const schema = {
  shop: t.string().nullable(),
  city: t.int64(),
  amount: t.float64().nullable(),
  items: t.int32(),
  cents: t.int64().nullable(),
  name: t.string().nullable(),
  open: t.bool().nullable(),
  gone: t.bool().nullable(),
  tags: t.list(t.string()),
  v: t.int32().nullable(),
  w: t.int64().nullable(),
  at: t.timestamp(),
  arrived: t.timestamp(),
};
export const table = tableSource("prices", {
  table: memory(),
  schema,
  eventTime: "at",
  ingestedAt: "arrived",
  version: "v",
  deleted: "gone",
});
export const stream = streamSource("sales", {
  stream: memory(),
  schema,
  eventTime: "at",
  ingestedAt: "arrived",
  version: "w",
  lateness: "1m",
});
export const plain = streamSource("visits", {
  stream: memory(),
  schema,
  eventTime: "at",
  ingestedAt: "arrived",
  lateness: "1m",
});
const shop = entity("shop", { shop: t.string() });
const place = entity("place", { shop: t.string(), city: t.int64() });
const double = derive({ amount: table.amount, items: table.items }, t.float64().nullable(), ({ amount, items }) =>
  amount === null ? null : amount * items,
);
const price = featureView("price", {
  source: table,
  entity: shop,
  features: {
    amount: latest(table.amount).ttl("2m"),
    items: latest(table.items).ttl("5m"),
    cents: latest(table.cents),
    name: latest(table.name).ttl("1m").default("none"),
    open: latest(table.open).ttl("30s"),
    tags: latest(table.tags).ttl("3m"),
    since: latest(table.at).ttl("1m"),
    double: latest(double).ttl("4m"),
  },
});
const shortPrice = featureView("short_price", {
  source: stream,
  entity: place,
  features: { amount: latest(stream.amount).ttl("1m"), cents: latest(stream.cents).ttl("90s"), n: count().over("2m") },
});
const sold = featureView("sold", {
  source: stream,
  entity: shop,
  features: {
    n: count().over(["12s", "1m", "10m"]),
    open_n: count()
      .where({ open: stream.open }, ({ open }) => open)
      .over("5m"),
    amount: sum(stream.amount).over(["1m", "10m"]),
    mean_amount: mean(stream.amount).over("1m"),
    spread: stddev(stream.amount).over("5m"),
    least: min(stream.cents).over(["12s", "5m"]),
    most: max(stream.items).over("1m"),
    names: countDistinct(stream.name).over("5m"),
    last_name: latest(stream.name).over("1m"),
    last_open: latest(stream.amount)
      .where({ open: stream.open }, ({ open }) => open)
      .ttl("1m"),
    amounts: lastN(stream.amount, 3),
    recent: lastN(stream.cents, 2).ttl("20s"),
  },
});
const visited = featureView("visited", {
  source: plain,
  entity: shop,
  features: { last: latest(plain.amount), n: count().over("1m"), tags: latest(plain.tags).ttl("1m") },
});
const service = featureService("all", {
  features: Object.fromEntries(
    [price, shortPrice, sold, visited].flatMap((view) =>
      view[Meta].features.map(({ name }) => [
        `${view[Meta].name}_${name}`,
        (view as unknown as Record<string, typeof price.amount>)[name]!,
      ]),
    ),
  ),
});
export const views = [price, shortPrice, sold, visited].map((view) => view[Meta]);
export const runtime = createServiceRuntime(service[Meta], (name) =>
  createViewRuntime(views.find((v) => v.name === name)!),
);

export interface Sale {
  readonly row: readonly Value[];
  readonly at: number;
  readonly arrived: number;
}

/** Many events share a time, a version and an arrival, so that every part of the order decides sometimes. */
export const saleOf = (shops: fc.Arbitrary<string | null>): fc.Arbitrary<Sale> =>
  fc
    .record({
      shop: shops,
      city: fc.constantFrom(1n, 2n),
      amount: fc.option(
        fc.integer({ min: -500, max: 500 }).map((c) => c / 10 + 0),
        { freq: 4 },
      ),
      items: fc.integer({ min: 0, max: 9 }),
      cents: fc.option(fc.bigInt({ min: -9n, max: 9n }), { freq: 4 }),
      name: fc.option(fc.constantFrom("x", "y", "\ufeffz"), { freq: 4 }),
      open: fc.option(fc.boolean(), { freq: 4 }),
      gone: fc.option(fc.boolean(), { freq: 1 }),
      tags: fc.array(fc.constantFrom("p", "q"), { maxLength: 2 }),
      v: fc.option(fc.integer({ min: 0, max: 2 }), { freq: 2 }),
      at: fc
        .oneof(fc.integer({ min: -60, max: 900 }), { weight: 3, arbitrary: fc.constantFrom(30, 60, 600) })
        .map((s) => s * 1_000),
      delay: fc.constantFrom(0, 0, 0, 500, 120_000),
    })
    .map(({ delay, gone, v, at, ...rest }) => ({
      row: [
        rest.shop,
        rest.city,
        rest.amount,
        rest.items,
        rest.cents,
        rest.name,
        rest.open,
        gone,
        rest.tags,
        v,
        v === null ? null : BigInt(v),
        at,
        at + delay,
      ],
      at,
      arrived: at + delay,
    }));
export const sales = fc.array(saleOf(fc.option(fc.constantFrom("a", "a", "b", "c"), { freq: 8 })), {
  maxLength: 60,
  size: "max",
});
export const labels = fc.array(
  fc.record({
    shop: fc.option(fc.constantFrom("a", "b", "c", "d"), { freq: 8 }),
    city: fc.constantFrom(1n, 2n, 3n),
    time: fc.integer({ min: -60_000, max: 1_500_000 }).map((ms) => (ms % 3 === 0 ? ms - (ms % 1_000) : ms)),
  }),
  { minLength: 1, maxLength: 25 },
);
export type Label = { readonly shop: string | null; readonly city: bigint; readonly time: number };

export function frameOf(rows: readonly Label[]): LabelFrame {
  const columns: Record<string, Value[]> = { shop: rows.map((r) => r.shop), city: rows.map((r) => r.city) };
  return {
    count: rows.length,
    lookup: runtime.service.lookup.map(({ name }) => columns[name]!),
    times: Float64Array.from(rows, (r) => r.time),
  };
}

export async function load(
  store: OfflineStore,
  { name, columns, ...source }: SourceMeta,
  list: readonly Sale[],
): Promise<void> {
  await store.prepareSource({ source: name, columns, hasId: false });
  const partition = await store.own(name, "0");
  const log = createMessageLogger({ name, columns, ...source });
  const events = list.map((sale, offset) =>
    log(
      {
        source: name,
        partition: "0",
        offset,
        key: null,
        payload: sale.row,
        eventTime: sale.at,
        ingestedAt: sale.arrived,
        headers: {},
      } as never,
      partition.partitionId,
    ),
  );
  await store.commit({ partition, events, deadLetters: [], lastOffset: list.length - 1 });
}

export interface PlainInputs {
  readonly values: Value[][];
  readonly statuses: FeatureStatus[][];
}

/** Inputs with nulls and names instead of NaN and codes. */
export function plainOf({ values, statuses }: HistoricalInputs): PlainInputs {
  return {
    values: values.map((column) => Array.from(column as Value[], (value) => (Number.isNaN(value) ? null : value))),
    statuses: statuses.map((codes) => Array.from(codes, statusOf)),
  };
}

/** What the definition alone says. */
export function oracle(list: readonly Sale[], rows: readonly Label[], arrived: boolean): PlainInputs {
  const inputs: PlainInputs = {
    values: Array.from({ length: runtime.inputCount }, () => []),
    statuses: Array.from({ length: runtime.inputCount }, () => []),
  };
  const logged = new Map(
    views.map(({ source }) => {
      const log = createMessageLogger(source);
      return [
        source.name,
        list.map((sale) => ({ sale, event: log({ payload: sale.row, offset: 0, eventTime: sale.at } as never, 1) })),
      ];
    }),
  );
  for (const { runtime: view, reads } of runtime.lookups) {
    const meta = view.layout.view;
    const index = new Map(meta.source.columns.map((column, i) => [column.name, i]));
    for (const [i, row] of rows.entries()) {
      const key = meta.entity.keys.map(({ name }) => (name === "shop" ? row.shop : row.city));
      const mine = logged
        .get(meta.source.name)!
        .filter(({ sale }) => view.layout.keyIndexes.every((at, k) => sale.row[at] !== null && sale.row[at] === key[k]))
        .filter(({ sale }) => !arrived || sale.arrived <= row.time);
      const { values, statuses } = naiveFeatures(
        meta,
        (expression) => compileEventExpression(expression, index, () => {}),
        mine.map(({ event }) => event),
        row.time,
      );
      for (const { feature, slot } of reads) {
        inputs.values[slot]![i] = values[feature]!;
        inputs.statuses[slot]![i] = statuses[feature]!;
      }
    }
  }
  return inputs;
}
