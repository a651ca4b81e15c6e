import { expectTypeOf } from "expect-type";
import {
  CategoricalTransform,
  count,
  countDistinct,
  derive,
  entity,
  featureService,
  featureView,
  first,
  histogram,
  httpPush,
  type InferLookup,
  type InferRow,
  lastN,
  latest,
  max,
  mean,
  model,
  modelFolder,
  NumericTransform,
  outcome,
  quantile,
  quantiles,
  requestSource,
  stddev,
  streamSource,
  sum,
  t,
  tableSource,
  topK,
} from "../../src/definitions/index.ts";

const card = entity("card", { card_id: t.string() });
const merchant = entity("merchant", { merchant_id: t.string() });
const account = entity("account", { account_id: t.string() });
const transactions = streamSource("transactions", {
  stream: httpPush(),
  eventTime: "authorized_at",
  lateness: "2m",
  id: "transaction_id",
  schema: {
    transaction_id: t.string(),
    card_id: t.string(),
    merchant_id: t.string(),
    amount: t.float64(),
    cents: t.int64(),
    country: t.string().nullable(),
    channel: t.oneOf("chip", "contactless", "online"),
    declined: t.bool(),
    sender: t.string(),
    receiver: t.string(),
    authorized_at: t.timestamp(),
  },
});
const rides = streamSource("rides", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: { ride_id: t.string(), fare: t.float64(), at: t.timestamp() },
});
const checkout = requestSource({
  amount: t.float64(),
  country: t.string(),
  channel: t.oneOf("chip", "contactless", "online"),
});

// What must compile.
latest(transactions.country).default("BE");
latest(transactions.country).where(transactions.declined);
latest(transactions.amount).ttl("2h");
count().where(transactions.declined).over("1h");
count()
  .over("1h")
  .where({ amount: transactions.amount }, ({ amount }) => amount > 10);
sum(derive({ a: transactions.amount }, t.float64(), ({ a }) => a * 2)).over(["1h", "24h"]);
expectTypeOf(latest(transactions.country)["~agg"]!.value).toEqualTypeOf<string | null>();
expectTypeOf(latest(transactions.country).default("BE")["~agg"]!.value).toEqualTypeOf<string>();

const activity = featureView("card_activity", {
  source: transactions,
  entity: card,
  ttl: "30d",
  features: {
    attempts: count().over(["1m", "1h", "24h"]),
    declines_1h: count().over("1h").where(transactions.declined),
    spend: sum(transactions.amount).over(["1h", "24h"]),
    amount_mean_30d: mean(transactions.amount).over("30d"),
    amount_stddev_30d: stddev(transactions.amount).over("30d"),
    largest: max(transactions.cents).over("24h"),
    last_seen: max(transactions.authorized_at).over("24h"),
    countries_24h: countDistinct(transactions.country).over("24h"),
    last_country: latest(transactions.country),
    last_channels: lastN(transactions.channel, 3),
    first_country: first(transactions.country).ttl("90d"),
    first_cents: first(transactions.cents).default(0n),
    amount_p95: quantile(transactions.amount, 0.95).over(["1h", "24h"]),
    cents_median: quantile(transactions.cents, 0.5).over("24h").default(0),
    amount_spread: quantiles(transactions.amount, [0.1, 0.5, 0.9]).over("24h"),
    top_channels: topK(transactions.channel, 2).over("24h"),
    top_merchants: topK(transactions.merchant_id, 3, { limit: 5_000 })
      .where(transactions.declined)
      .over("24h")
      .default([]),
    amounts: histogram(transactions.amount, [0, 10, 100]).over("24h"),
  },
});
expectTypeOf(activity.largest["~expr"]!.value).toEqualTypeOf<bigint | null>();
expectTypeOf(activity.last_seen["~expr"]!.value).toEqualTypeOf<Date | null>();
expectTypeOf(activity.last_channels["~expr"]!.value).toEqualTypeOf<readonly ("chip" | "contactless" | "online")[]>();

expectTypeOf(activity.first_country["~expr"]!.value).toEqualTypeOf<string | null>();
expectTypeOf(activity.first_cents["~expr"]!.value).toEqualTypeOf<bigint>();
expectTypeOf(activity.amount_p95_1h["~expr"]!.value).toEqualTypeOf<number | null>();
expectTypeOf(activity.cents_median["~expr"]!.value).toEqualTypeOf<number>();
expectTypeOf(activity.amount_spread["~expr"]!.value).toEqualTypeOf<readonly [number, number, number] | null>();
expectTypeOf(activity.top_channels["~expr"]!.value).toEqualTypeOf<
  readonly ("chip" | "contactless" | "online")[] | null
>();
expectTypeOf(activity.top_merchants["~expr"]!.value).toEqualTypeOf<readonly string[]>();
expectTypeOf(activity.amounts["~expr"]!.value).toEqualTypeOf<readonly [number, number, number, number]>();
// A place of a list is a number of its own by a derive; the list's length is known.
derive({ spread: activity.amount_spread }, t.float64().nullable(), ({ spread }) =>
  spread === null ? null : spread[2] - spread[0],
);
const places: number[] = [0.5];
quantile(transactions.amount, places[0] ?? 0.9);

const accounts = featureView("account_volume", {
  source: transactions,
  entity: account,
  keys: { account_id: transactions.sender },
  features: { volume_24h: sum(transactions.amount).over("24h") },
});
const merchants = featureView("merchant_activity", {
  source: transactions,
  entity: merchant,
  features: { volume_24h: sum(transactions.amount).over("24h") },
});
const sender = accounts.as({ account_id: "from_account" });
const receiver = accounts.as({ account_id: "to_account" });
const fraud = featureService("fraud_v1", {
  features: {
    amount: NumericTransform.of(checkout.amount).log1p(),
    channel: CategoricalTransform.of(checkout.channel).ordinal(),
    hot: CategoricalTransform.of(checkout.channel).oneHot(),
    home: CategoricalTransform.of(checkout.country).oneHot(["BE", "NL"]),
    attempts_1m: activity.attempts_1m,
    spend_1h: NumericTransform.of(activity.spend_1h).log1p().standardize(),
    mean_30d: NumericTransform.of(activity.amount_mean_30d),
    mean_filled: NumericTransform.of(activity.amount_mean_30d).fillNull(0),
    amount_z: derive(
      { amount: checkout.amount, mean: activity.amount_mean_30d, sd: activity.amount_stddev_30d },
      t.float64(),
      ({ amount, mean, sd }) => (mean === null || !sd ? 0 : (amount - mean) / sd),
    ),
    new_country: derive(
      { now: checkout.country, last: activity.last_country },
      t.bool(),
      ({ now, last }) => last !== null && now !== last,
    ),
    merchant_volume_24h: merchants.volume_24h,
    sent_24h: sender.volume_24h,
    received_24h: receiver.volume_24h,
  },
});
expectTypeOf<InferRow<typeof fraud>>().toEqualTypeOf<{
  amount: number;
  channel: number;
  hot_chip: number;
  hot_contactless: number;
  hot_online: number;
  home_BE: number;
  home_NL: number;
  attempts_1m: number;
  spend_1h: number;
  mean_30d: number | null;
  mean_filled: number;
  amount_z: number;
  new_country: boolean;
  merchant_volume_24h: number;
  sent_24h: number;
  received_24h: number;
}>();
expectTypeOf<InferLookup<typeof fraud>>().toEqualTypeOf<{
  card_id: string;
  merchant_id: string;
  from_account: string;
  to_account: string;
  amount: number;
  country: string;
  channel: "chip" | "contactless" | "online";
}>();
const fraudModel = model("fraud", {
  inputs: fraud,
  output: { score: t.float64() },
  source: modelFolder("models/fraud"),
  timeout: "20ms",
  fallback: { score: 0 },
});
expectTypeOf(fraudModel["~out"]!).toEqualTypeOf<{ score: number }>();
tableSource("airports", {
  table: httpPush(),
  eventTime: "at",
  deleted: "gone",
  schema: { airport_id: t.string(), alt: t.float64(), gone: t.bool().nullable(), at: t.timestamp() },
});

// What must not compile.
// @ts-expect-error a sum needs a numeric column
sum(transactions.country);
// @ts-expect-error a quantile is a number from 0 to 1
quantile(transactions.amount, 95);
// @ts-expect-error a quantile is a number from 0 to 1
quantile(transactions.amount, -0.5);
// @ts-expect-error a quantile is a number from 0 to 1
quantiles(transactions.amount, [0.5, 1.5]);
// @ts-expect-error a list has at least one quantile
quantiles(transactions.amount, []);
// @ts-expect-error 0.8% of the time since 1970 is months: derive a number first
quantile(transactions.authorized_at, 0.5);
// @ts-expect-error a quantile of texts
quantile(transactions.country, 0.5);
// @ts-expect-error a quantile needs a window
featureView("bad", { source: transactions, entity: card, features: { q: quantile(transactions.amount, 0.5) } });
// @ts-expect-error a default has as many values as there are quantiles
quantiles(transactions.amount, [0.1, 0.9]).over("1h").default([0]);
// @ts-expect-error a quantile has no ttl
quantile(transactions.amount, 0.5).ttl("1h");
// @ts-expect-error a histogram of texts
histogram(transactions.country, [1]);
// @ts-expect-error a histogram has at least one boundary
histogram(transactions.amount, []);
// @ts-expect-error a histogram needs a window
featureView("bad", { source: transactions, entity: card, features: { h: histogram(transactions.amount, [1]) } });
// @ts-expect-error the most frequent values need a window
featureView("bad", { source: transactions, entity: card, features: { top: topK(transactions.channel, 1) } });
// @ts-expect-error a default of another category
topK(transactions.channel, 1).over("1h").default(["cash"]);
// @ts-expect-error ttl and window exclude each other
first(transactions.amount).over("1h").ttl("2h");
// @ts-expect-error a default of another type
first(transactions.amount).default("0");
// @ts-expect-error no such window was declared
activity.attempts_7d;
// @ts-expect-error a window needs a unit
count().over("30");
// @ts-expect-error a window is above zero
count().over("-5m");
// @ts-expect-error a window is a whole number of units
count().over("1.5h");
// @ts-expect-error a bare number is never a duration
count().over(5);
// @ts-expect-error one of the windows is not a duration
count().over(["1h", "24"]);
// @ts-expect-error ttl and window exclude each other
latest(transactions.amount).over("1h").ttl("2h");
// @ts-expect-error rides has no card_id column
featureView("bad", { source: rides, entity: card, features: { n: count().over("1h") } });
const ride = entity("ride", { ride_id: t.string() });
// @ts-expect-error a column of another source
featureView("bad", { source: rides, entity: ride, features: { s: sum(transactions.amount).over("1h") } });
const doubled = derive({ a: transactions.amount }, t.float64(), ({ a }) => a * 2);
// @ts-expect-error a derived column of another source
featureView("bad", { source: rides, entity: ride, features: { s: sum(doubled).over("1h") } });
// @ts-expect-error a where over another source
featureView("bad", { source: rides, entity: ride, features: { s: count().where(transactions.declined).over("1h") } });
// @ts-expect-error a count needs a window
featureView("bad", { source: rides, entity: ride, features: { n: count() } });
// @ts-expect-error a key mapped to a column of another type
featureView("bad", { source: rides, entity: ride, keys: { ride_id: rides.fare }, features: { n: count().over("1h") } });
const schema = { ride_id: t.string(), at: t.timestamp() };
// @ts-expect-error event time must be a timestamp column
streamSource("x", { stream: httpPush(), eventTime: "ride_id", lateness: "1m", schema });
// @ts-expect-error lateness needs a unit
streamSource("x", { stream: httpPush(), eventTime: "at", lateness: "1", schema: { at: t.timestamp() } });
// @ts-expect-error a raw stream column is not a feature
featureService("bad", { features: { amount: transactions.amount } });
const numbered = entity("numbered", { card_id: t.int64() });
const orders = streamSource("orders", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: { card_id: t.int64(), at: t.timestamp() },
});
const numberedView = featureView("numbered", { source: orders, entity: numbered, features: { n: count().over("1h") } });
// @ts-expect-error one lookup name with two types
featureService("bad", { features: { a: activity.attempts_1m, b: numberedView.n } });
// @ts-expect-error a categorical step on a number
CategoricalTransform.of(checkout.amount);
// @ts-expect-error the function's result is not of the declared type
derive({ a: checkout.amount }, t.float64(), ({ a }) => `${a}`);
// @ts-expect-error the fallback is not of the output's type
model("bad", { inputs: fraud, output: { score: t.float64() }, source: modelFolder("m"), fallback: { score: "0" } });
model("bad", {
  inputs: fraud,
  output: { score: t.float64() },
  source: modelFolder("m"),
  // @ts-expect-error neither a lookup column nor a feature
  predictionLog: { redact: ["x"] },
});
// @ts-expect-error no such key to rename
accounts.as({ card_id: "from" });

const scored = model("scored", {
  inputs: fraud,
  output: { score: t.float64(), verdict: t.string(), p_chip: t.float64(), p_online: t.float64(), p_less: t.float64() },
  source: modelFolder("m"),
  predictionLog: { sampleRate: 1 },
});
const told = { model: scored, source: transactions, within: "30d", keys: { card_id: transactions.card_id } } as const;
outcome("good", { ...told, label: transactions.declined, predicted: "score", otherwise: false, bounds: { auc: 0.7 } });
outcome("good", { ...told, label: transactions.cents, predicted: "score", bounds: { rmse: 7 } });
outcome("good", { ...told, label: transactions.country, predicted: "verdict", bounds: { accuracy: 0.7 } });
const classes = { chip: "p_chip", online: "p_online", contactless: "p_less" } as const;
outcome("good", { ...told, label: transactions.channel, predicted: classes });
// @ts-expect-error a yes or no is compared with a number
outcome("bad", { ...told, label: transactions.declined, predicted: "verdict" });
// @ts-expect-error the model has no such output
outcome("bad", { ...told, label: transactions.declined, predicted: "probability" });
// @ts-expect-error a class has no output
outcome("bad", { ...told, label: transactions.channel, predicted: { chip: "p_chip", online: "p_online" } });
// @ts-expect-error a number has no AUC
outcome("bad", { ...told, label: transactions.cents, predicted: "score", bounds: { auc: 0.7 } });
// @ts-expect-error silence must be a label
outcome("bad", { ...told, label: transactions.declined, predicted: "score", otherwise: 0 });
// @ts-expect-error a column of another source
outcome("bad", { ...told, label: rides.fare, predicted: "score" });
// @ts-expect-error a key of another type
outcome("bad", { ...told, keys: { card_id: transactions.amount }, label: transactions.declined, predicted: "score" });
// @ts-expect-error the lookup has no such key
outcome("bad", { ...told, keys: { ride_id: transactions.card_id }, label: transactions.declined, predicted: "score" });
// @ts-expect-error a length of time needs a unit
outcome("bad", { ...told, within: "30", label: transactions.declined, predicted: "score" });
