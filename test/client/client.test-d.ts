import { expectTypeOf, test } from "vitest";
import { millraceClient, type Prediction } from "../../src/client/index.ts";
import {
  entity,
  featureService,
  featureView,
  httpPush,
  latest,
  model,
  modelFolder,
  requestSource,
  streamSource,
  sum,
  t,
} from "../../src/definitions/index.ts";

const payments = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: { card_id: t.string(), account: t.int64(), amount: t.float64(), at: t.timestamp() },
});
const card = entity("card", { card_id: t.string() });
const request = requestSource({ amount: t.float64(), asked: t.timestamp().nullable() });
const view = featureView("card_activity", {
  source: payments,
  entity: card,
  features: { spend: sum(payments.amount).over("1h"), account: latest(payments.account), at: latest(payments.at) },
});
const service = featureService("risk_v1", {
  features: { spend: view.spend, account: view.account, at: view.at, amount: request.amount, asked: request.asked },
});
const risk = model("risk", {
  inputs: service,
  output: { probability: t.float64(), rank: t.int64().nullable() },
  source: modelFolder("risk"),
});
const client = millraceClient({ url: "http://localhost:8080" });
const lookup = { card_id: "c1", amount: 1.5, asked: new Date(0) };

test("predictions have the declared output's types", () => {
  expectTypeOf(client.predict(risk, lookup)).resolves.toEqualTypeOf<
    Prediction<{ probability: number; rank: bigint | null }>
  >();
  expectTypeOf(client.predictBatch(risk, [lookup])).resolves.items.toHaveProperty("version");
});

test("features have the declared types", async () => {
  const { features, statuses } = await client.getOnlineFeatures(service, lookup);
  expectTypeOf(features.spend).toEqualTypeOf<number>();
  expectTypeOf(features.account).toEqualTypeOf<bigint | null>();
  expectTypeOf(features.at).toEqualTypeOf<Date | null>();
  expectTypeOf(statuses.spend).toExtend<string>();
  // @ts-expect-error no such feature
  features.nothing;
});

test("a lookup must have every key and request column, of its type, and no other", () => {
  // @ts-expect-error the key is missing
  client.predict(risk, { amount: 1, asked: null });
  // @ts-expect-error a number is no text
  client.predict(risk, { ...lookup, card_id: 1 });
  // @ts-expect-error a timestamp is a Date
  client.getOnlineFeatures(service, { ...lookup, asked: "2026-01-01T00:00:00Z" });
  // @ts-expect-error an unknown column
  client.getOnlineFeatures(service, { card_id: "c1", amount: 1, asked: null, more: 1 });
  // @ts-expect-error one of them lacks the amount
  client.predictBatch(risk, [lookup, { card_id: "c1", asked: null }]);
});
