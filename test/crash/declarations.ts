/** Views over the flights whose longest window covers every event: one lost or counted twice shows at the end. */
import {
  aircraft,
  airport,
  arrivals,
  carrier,
  departures,
  originCarrier,
} from "../../examples/flight_delays/features.ts";
import {
  count,
  countDistinct,
  derive,
  type FeatureView,
  featureView,
  lastN,
  latest,
  max,
  mean,
  min,
  stddev,
  sum,
  t,
} from "../../src/index.ts";

const leftLate = derive({ delay: departures.dep_delay_minutes }, t.bool(), ({ delay }) => delay > 15);
const windows = ["24h", "90d"] as const;

export const byOrigin: FeatureView<object, object> = featureView("by_origin", {
  source: departures,
  entity: airport,
  keys: { airport: departures.origin },
  features: {
    n: count().over(windows),
    late: count().where(leftLate).over(windows),
    total: sum(departures.dep_delay_minutes).over(windows),
    spread: stddev(departures.dep_delay_minutes).over(windows),
    carriers: countDistinct(departures.carrier).over(windows),
    aircraft: countDistinct(departures.tail_number).over(windows),
  },
});
export const byOriginCarrier: FeatureView<object, object> = featureView("by_origin_carrier", {
  source: departures,
  entity: originCarrier,
  features: {
    delay: mean(departures.dep_delay_minutes).over(["1h", "90d"]),
    largest: max(departures.dep_delay_minutes).over(windows),
    smallest: min(departures.dep_delay_minutes).over(windows),
  },
});
export const byAircraft: FeatureView<object, object> = featureView("by_aircraft", {
  source: arrivals,
  entity: aircraft,
  features: {
    n: count().over(windows),
    delay: latest(arrivals.arr_delay_minutes),
    last: lastN(arrivals.dest, 3),
    fresh: latest(arrivals.arr_delay_minutes).ttl("7d"),
  },
});
export const byCarrier: FeatureView<object, object> = featureView("by_carrier", {
  source: arrivals,
  entity: carrier,
  features: { n: count().over(windows), total: sum(arrivals.arr_delay_minutes).over(windows) },
});
