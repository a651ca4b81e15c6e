import {
  count,
  entity,
  featureService,
  featureView,
  httpPush,
  latest,
  streamSource,
  sum,
  t,
  tableSource,
} from "../../src/index.ts";

/** Facts of a driver, with one column of each type. */
const driverFacts = tableSource("driver_facts", {
  table: httpPush(),
  eventTime: "event_timestamp",
  version: "created",
  schema: {
    driver_id: t.int64(),
    rating: t.float64().nullable(),
    trips: t.int64().nullable(),
    seats: t.int32().nullable(),
    city: t.string().nullable(),
    active: t.bool().nullable(),
    hired_at: t.timestamp().nullable(),
    badges: t.list(t.string()).nullable(),
    event_timestamp: t.timestamp(),
    created: t.timestamp().nullable(),
  },
});
const payments = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  id: "payment_id",
  schema: { payment_id: t.string(), card: t.string(), amount: t.float64(), at: t.timestamp() },
});
const driver = entity("driver", { driver_id: t.int64() });
const card = entity("card", { card_id: t.string() });

export const driverStats = featureView("driver_stats", {
  source: driverFacts,
  entity: driver,
  ttl: "1d",
  features: {
    rating: latest(driverFacts.rating),
    trips: latest(driverFacts.trips),
    seats: latest(driverFacts.seats),
    city: latest(driverFacts.city),
    active: latest(driverFacts.active),
    hired_at: latest(driverFacts.hired_at),
    badges: latest(driverFacts.badges),
  },
});
export const cardActivity = featureView("card_activity", {
  source: payments,
  entity: card,
  keys: { card_id: payments.card },
  features: { n: count().over("1h"), spend: sum(payments.amount).over("1h") },
});
export const ride = featureService("ride_v1", {
  features: { rating: driverStats.rating, trips: driverStats.trips, spend: cardActivity.spend },
});
