import {
  entity,
  featureService,
  featureView,
  httpPush,
  model,
  modelFolder,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../src/index.ts";

export const payments = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  id: "payment_id",
  lateness: "1m",
  schema: { payment_id: t.string(), card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});

const card = entity("card", { card_id: t.string() });
const request = requestSource({ amount: t.float64(), n_trips: t.int64(), is_new: t.bool() });

export const activity = featureView("activity", {
  source: payments,
  entity: card,
  features: { spend: sum(payments.amount).over("24h") },
});

export const risk = featureService("risk_v1", {
  features: {
    spend: activity.spend,
    amount: request.amount,
    n_trips: request.n_trips,
    is_new: request.is_new,
  },
});

export const riskModel = model("risk", {
  inputs: risk,
  output: { probability: t.float64() },
  source: modelFolder(process.env.PROTOCOLS_MODEL ?? "unset"),
});
