import {
  CategoricalTransform,
  count,
  derive,
  entity,
  featureService,
  featureView,
  httpPush,
  latest,
  mean,
  memory,
  model,
  modelFolder,
  NumericTransform,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";

/** What tests change of the sample; the rest is always the same. */
export interface Sample {
  readonly description?: string;
  readonly connector?: "push" | "memory";
  readonly clock?: "wall" | "stream";
  readonly lateness?: "2m" | "5m";
  readonly eventTime?: "at" | "settled_at";
  readonly countries?: "nullable" | "required";
  readonly channels?: readonly [string, ...string[]];
  readonly amount?: "float64" | "int32";
  readonly extraColumn?: "nullable" | "required";
  readonly window?: "1h" | "2h";
  readonly ttl?: "1d" | "2d";
  readonly default?: string;
  readonly threshold?: 10 | 20;
  readonly featureOrder?: "straight" | "reversed";
  readonly extraFeature?: boolean;
  readonly serviceOrder?: "straight" | "reversed";
}

/** Declares the sample anew. */
// biome-ignore lint/suspicious/noExplicitAny: its types vary with the options, and no test is about them
export function declareSample(options: Sample = {}): any {
  const description = options.description ?? "";
  const card = entity("card", { card_id: t.string() }, { description });
  const country = options.countries === "required" ? t.string() : t.string().nullable();
  const payments = streamSource("payments", {
    stream: options.connector === "memory" ? memory() : httpPush(),
    eventTime: options.eventTime ?? "at",
    lateness: options.lateness ?? "2m",
    clock: options.clock ?? "wall",
    description,
    schema: {
      card_id: t.string(),
      amount: options.amount === "int32" ? t.int32() : t.float64(),
      country: country as ReturnType<typeof t.string>,
      channel: t.oneOf(...(options.channels ?? ["chip", "online"])),
      at: t.timestamp(),
      settled_at: t.timestamp(),
      ...(options.extraColumn === undefined
        ? {}
        : { extra: options.extraColumn === "nullable" ? t.bool().nullable() : t.bool() }),
    },
  });
  const large =
    options.threshold === 20 ? ({ a }: { a: number }) => a > 20 : ({ a: amount }: { a: number }) => amount > 10;
  const last = latest(payments.country).ttl(options.ttl ?? "1d");
  const features = {
    large: count()
      .over("1h")
      .where({ a: payments.amount } as never, large as never),
    last: options.default === undefined ? last : last.default(options.default),
    mean_24h: mean(payments.amount).over("24h"),
    spend: sum(payments.amount).over(options.window ?? "1h"),
    ...(options.extraFeature ? { extra: count().over("7d") } : {}),
  };
  const ordered = (options.featureOrder === "reversed"
    ? Object.fromEntries(Object.entries(features).reverse())
    : features) as unknown as typeof features;
  const view = featureView("card_payments", { source: payments, entity: card, features: ordered, description });
  const checkout = requestSource({ amount: t.float64(), channel: t.oneOf("chip", "online") });
  const columns = {
    amount: checkout.amount,
    channel: CategoricalTransform.of(checkout.channel).oneHot(),
    spend: NumericTransform.of(view.spend).log1p().standardize(),
    last: CategoricalTransform.of(view.last).ordinal(["BE", "NL"]),
    ratio: derive({ amount: checkout.amount, mean: view.mean_24h }, t.float64().nullable(), ({ amount, mean }) =>
      mean === null ? null : amount / mean,
    ),
  };
  const service = featureService("fraud", {
    features: (options.serviceOrder === "reversed"
      ? Object.fromEntries(Object.entries(columns).reverse())
      : columns) as typeof columns,
    description,
  });
  const fraud = model("fraud", {
    inputs: service,
    output: { score: t.float64() },
    source: modelFolder("models"),
    description,
  });
  return { card, payments, view, service, fraud };
}

/** The sample's view and service as data. */
export function sampleMetas(options: Sample = {}): {
  readonly view: import("../../../src/definitions/feature-view.ts").FeatureViewMeta;
  readonly service: import("../../../src/definitions/feature-service.ts").FeatureServiceMeta;
} {
  const { view, service } = declareSample(options);
  return { view: view[Meta], service: service[Meta] };
}
