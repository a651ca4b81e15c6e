import {
  count,
  entity,
  featureService,
  featureView,
  httpPush,
  mlflowModel,
  model,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../src/index.ts";

const payments = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: { card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});
const card = entity("card", { card_id: t.string() });
const request = requestSource({ amount: t.float64() });

export const cardActivity = featureView("card_activity", {
  source: payments,
  entity: card,
  features: { n: count().over("1h"), spend: sum(payments.amount).over("1h") },
});
const riskRow = featureService("risk_v1", {
  features: { n: cardActivity.n, spend: cardActivity.spend, amount: request.amount },
});
export const risk = model("risk", {
  inputs: riskRow,
  output: { probability: t.float64() },
  source: mlflowModel({ name: "risk", alias: "champion" }),
});
