import {
  count,
  entity,
  featureService,
  featureView,
  first,
  histogram,
  httpPush,
  latest,
  type Model,
  model,
  modelFolder,
  NumericTransform,
  quantile,
  quantiles,
  requestSource,
  streamSource,
  sum,
  t,
  topK,
} from "../../src/definitions/index.ts";

/** The moment at which the tests' servers are, by the wall clock. */
export const NOW: number = Date.UTC(2026, 0, 2, 12, 0, 0);

export const payments = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  id: "payment_id",
  schema: {
    payment_id: t.string(),
    card_id: t.string(),
    account: t.int64(),
    amount: t.float64(),
    country: t.string().nullable(),
    at: t.timestamp(),
  },
});
const card = entity("card", { card_id: t.string() });
const account = entity("account", { account: t.int64() });
const request = requestSource({ amount: t.float64(), asked: t.timestamp().nullable() });

export const cardActivity = featureView("card_activity", {
  source: payments,
  entity: card,
  features: { n: count().over("1h"), spend: sum(payments.amount).over("1h"), last_at: latest(payments.at) },
});
export const accountActivity = featureView("account_activity", {
  source: payments,
  entity: account,
  features: { n: count().over("1h"), last_account: latest(payments.account) },
});

export const risk = featureService("risk_v1", {
  features: { n: cardActivity.n, spend: cardActivity.spend, amount: request.amount },
});
export const RISK_COLUMNS = ["n", "spend", "amount"] as const;

/** With a transform that learns from a training set. */
export const fitted = featureService("fitted_v1", {
  features: { n: cardActivity.n, amount: NumericTransform.of(request.amount).standardize() },
});

/** Values that JSON has no type of its own for. */
export const typed = featureService("typed_v1", {
  features: {
    account_n: accountActivity.n,
    last_account: accountActivity.last_account,
    last_at: cardActivity.last_at,
    asked: request.asked,
  },
});

const habits = featureView("card_habits", {
  source: payments,
  entity: card,
  features: {
    median: quantile(payments.amount, 0.5).over("1h"),
    spread: quantiles(payments.amount, [0, 1]).over("1h"),
    countries: topK(payments.country, 2, { limit: 2 }).over("1h"),
    accounts: topK(payments.account, 1).over("1h"),
    times: topK(payments.at, 1).over("1h"),
    sizes: histogram(payments.amount, [10, 100]).over("1h"),
    first_at: first(payments.at),
  },
});

/** Values that are lists. */
export const lists = featureService("lists_v1", {
  features: {
    median: habits.median,
    spread: habits.spread,
    countries: habits.countries,
    accounts: habits.accounts,
    times: habits.times,
    sizes: habits.sizes,
    first_at: habits.first_at,
  },
});

/** The models of the tests, with their versions in folders of their names under `folder`. */
export function paymentModels(folder: string): {
  readonly risk: Model<object, object>;
  readonly scaled: Model<object, object>;
} {
  return {
    risk: model("risk", {
      inputs: risk,
      output: { probability: t.float64() },
      source: modelFolder(`${folder}/risk`),
    }) as Model<object, object>,
    scaled: model("scaled", {
      inputs: fitted,
      output: { score: t.float64() },
      source: modelFolder(`${folder}/scaled`),
    }) as Model<object, object>,
  };
}
