import fc from "fast-check";
import {
  count,
  countDistinct,
  derive,
  entity,
  featureService,
  featureView,
  first,
  histogram,
  lastN,
  latest,
  max,
  mean,
  memory,
  NumericTransform,
  quantile,
  quantiles,
  requestSource,
  streamSource,
  sum,
  t,
  topK,
} from "../../src/definitions/index.ts";
import { collectDeclarations, type Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";

/** A small world for the store's tests: one stream, two views, one service with two roles of one entity. */
export const payments = streamSource("payments", {
  stream: memory(),
  clock: "stream",
  eventTime: "at",
  ingestedAt: "arrived",
  lateness: "1m",
  id: "id",
  schema: {
    id: t.string(),
    sender: t.string().nullable(),
    receiver: t.string(),
    amount: t.float64().nullable(),
    cents: t.int64(),
    at: t.timestamp(),
    arrived: t.timestamp(),
  },
});
const account = entity("account", { account_id: t.string() });
export const sent = featureView("sent", {
  source: payments,
  entity: account,
  keys: { account_id: payments.sender },
  features: {
    n: count().over(["1m", "1h"]),
    amount: sum(payments.amount).over("1h"),
    mean_amount: mean(payments.amount).over("10m"),
    receivers: countDistinct(payments.receiver).over("1h"),
    last: latest(payments.amount).ttl("10m"),
    largest: max(payments.cents).over("1h"),
    median: quantile(payments.amount, 0.5).over("10m"),
    spread: quantiles(payments.cents, [0.1, 0.9]).over("1h"),
    // With three receivers some windows have more than it counts.
    favourites: topK(payments.receiver, 2, { limit: 2 }).over("1h"),
    sizes: histogram(payments.amount, [0, 50]).over("1h"),
  },
});
export const received = featureView("received", {
  source: payments,
  entity: account,
  keys: { account_id: payments.receiver },
  features: {
    amount: sum(payments.amount).over("1h"),
    last_cents: latest(payments.cents),
    first_cents: first(payments.cents),
  },
});
export const milestones = featureView("milestones", {
  source: payments,
  entity: account,
  keys: { account_id: payments.sender },
  features: {
    first_active: first(payments.cents).ttl("10m"),
    last_active: lastN(payments.cents, 2).ttl("10m"),
  },
});
const request = requestSource({ asked: t.float64() });
const from = sent.as({ account_id: "from" });
const begun = milestones.as({ account_id: "from" });
export const risk = featureService("risk", {
  features: {
    asked: request.asked,
    n_1m: from.n_1m,
    n_1h: from.n_1h,
    amount: from.amount,
    mean_amount: from.mean_amount,
    receivers: from.receivers,
    last: from.last,
    largest: from.largest,
    median: from.median,
    spread: from.spread,
    favourites: from.favourites,
    sizes: from.sizes,
    first_active: begun.first_active,
    last_active: begun.last_active,
    to_amount: received.as({ account_id: "to" }).amount,
    to_last: received.as({ account_id: "to" }).last_cents,
    to_first: received.as({ account_id: "to" }).first_cents,
    to_sent: sent.as({ account_id: "to" }).amount,
    ratio: derive({ asked: request.asked, mean: from.mean_amount }, t.float64().nullable(), ({ asked, mean }) =>
      mean === null || mean === 0 ? null : asked / mean,
    ),
    log_amount: NumericTransform.of(from.amount).clip(0, 1_000).log1p(),
  },
});
export const declarations: Declarations = collectDeclarations({ payments, sent, received, milestones, risk });

export interface Payment extends Record<string, unknown> {
  readonly id: string;
  readonly sender: string | null;
  readonly receiver: string;
  readonly amount: number | null;
  readonly cents: number;
  readonly at: number;
  readonly arrived: number;
}

const accountId = fc.constantFrom("a", "b", "c");

/** Payments within some two hours, some late, some arriving long after they happened. */
export const paymentList: fc.Arbitrary<Payment[]> = fc
  .array(
    fc.record({
      sender: fc.option(accountId, { freq: 5 }),
      receiver: accountId,
      amount: fc.option(
        fc.integer({ min: -10_000, max: 10_000 }).map((c) => c / 100 + 0),
        { freq: 5 },
      ),
      cents: fc.integer({ min: -100, max: 100 }),
      at: fc.integer({ min: 0, max: 7_200 }).map((s) => s * 1_000),
      delay: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_600_000 })),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((list) => list.map(({ delay, ...payment }, i) => ({ ...payment, id: `p${i}`, arrived: payment.at + delay })));
