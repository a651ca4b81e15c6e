import { Meta } from "../src/definitions/meta.ts";
import type { Value } from "../src/definitions/value.ts";
import { count, entity, featureView, max, mean, memory, streamSource, sum, t } from "../src/index.ts";

/** The columns of the payments. */
export const schema = {
  payment_id: t.string(),
  card_id: t.string(),
  merchant_id: t.string(),
  device_id: t.string(),
  amount: t.float64(),
  country: t.string(),
  at: t.timestamp(),
};

/** Three views of four aggregations and three windows over one stream: the shape of the throughput figures. */
export const payments = streamSource("payments", {
  stream: memory(),
  clock: "stream",
  eventTime: "at",
  lateness: "1m",
  schema,
});
const card = entity("card", { card_id: t.string() });
const merchant = entity("merchant", { merchant_id: t.string() });
const device = entity("device", { device_id: t.string() });
const windows = ["1h", "24h", "7d"] as const;
const features = {
  n: count().over(windows),
  spend: sum(payments.amount).over(windows),
  amount_mean: mean(payments.amount).over(windows),
  largest: max(payments.amount).over(windows),
};
export const cardView = featureView("card_payments", { source: payments, entity: card, features });
export const merchantView = featureView("merchant_payments", { source: payments, entity: merchant, features });
export const deviceView = featureView("device_payments", { source: payments, entity: device, features });
export const views = [cardView, merchantView, deviceView].map((view) => view[Meta]);

/** Rows of the stream with keys uniform over the entities, 200 events per second of event time; repeatable. */
export function paymentRows(count: number, entities: number): Value[][] {
  return [...paymentStream(count, entities)];
}

/** The same one by one. */
export function* paymentStream(count: number, entities: number): Generator<Value[]> {
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
  const id = (prefix: string): string => `${prefix}${Math.floor(random() * entities)}`;
  const start = Date.UTC(2026, 0, 1);
  for (let i = 0; i < count; i++) {
    yield [
      `p${i}`,
      id("card-"),
      id("merchant-"),
      id("device-"),
      Math.floor(random() * 50_000) / 100,
      "BE",
      start + i * 5,
    ];
  }
}

/** A row as a line of JSON of about 200 bytes. */
export function paymentLine([id, card, merchant, device, amount, country, at]: readonly Value[]): string {
  return `${JSON.stringify({ payment_id: id, card_id: card, merchant_id: merchant, device_id: device, amount, country, at: new Date(at as number), note: "a field that no column reads" })}\n`;
}
