import {
  aircraftArrivals,
  airportFacts,
  carrierDepartures,
  departures,
  destinationArrivals,
  flightDelayFeatures,
  originDepartures,
  originWeather,
  planeFacts,
  routeArrivals,
} from "../../examples/flight_delays/features.ts";
import {
  CategoricalTransform,
  derive,
  entity,
  featureService,
  featureView,
  label,
  lastN,
  NumericTransform,
  requestSource,
  t,
  topK,
} from "../../src/index.ts";

/** The example's sources and views with a service that learns by every kind of transform there is. */
export {
  airports,
  arrivals,
  departures,
  flightDelayFeatures,
  planes,
  weather,
} from "../../examples/flight_delays/features.ts";

const late = label("late", t.bool());
const flight = requestSource({ carrier: t.string(), distance_miles: t.int32(), local_hour: t.int32() });
const number = NumericTransform.of;
const text = CategoricalTransform.of;
const tail = entity("tail", { tail_number: t.string() });

export const lastRoutes = featureView("last_routes", {
  source: departures,
  entity: tail,
  features: {
    lately: lastN(departures.dest, 3),
    often: topK(departures.dest, 2, { limit: 200 }).over("7d"),
  },
});

const origin = originDepartures.as({ airport: "origin" });
const dest = destinationArrivals.as({ airport: "dest" });
const sky = originWeather.as({ airport: "origin" });
const from = airportFacts.as({ airport: "origin" });
const to = airportFacts.as({ airport: "dest" });
const firstOf = ({ places }: { readonly places: readonly string[] | null }): string | null => places?.[0] ?? null;

export const flightFits = featureService("flight_fits", {
  features: {
    standardize: number(origin.delay_mean_1h).standardize(),
    impute_mean: number(sky.wind_gust).impute("mean"),
    impute_median: number(dest.delay_mean_3h).impute("median").standardize(),
    impute_most_frequent: number(planeFacts.year).impute("most_frequent").minMax({ clip: true }),
    min_max: number(flight.distance_miles).minMax(),
    max_abs: number(dest.delay_mean_24h).maxAbs(),
    robust: number(aircraftArrivals.delay).robust({ unitVariance: true }),
    quantile: number(carrierDepartures.late_rate_24h).quantile({ quantiles: 100, output: "normal" }),
    power: number(origin.delay_mean_3h).power(),
    box_cox: number(flight.distance_miles).power({ method: "box_cox" }),
    bins: number(flight.local_hour).kBins(6),
    bins_k_means: number(sky.temp).kBins(5, { strategy: "kmeans", encode: "one_hot" }),
    bins_uniform: number(sky.pressure).kBins(4, { strategy: "uniform" }),
    ordinal: text(flight.carrier).ordinal({ minFrequency: 0.02, unknown: "infrequent" }),
    one_hot: text(flight.carrier).oneHot({ maxCategories: 6, unknown: "infrequent" }),
    impute_text: text(derive({ places: lastRoutes.often }, t.string().nullable(), firstOf))
      .impute("most_frequent")
      .frequency({ relative: true }),
    target: text(flight.carrier).target(late),
    target_standardized: number(
      text(derive({ places: lastRoutes.lately }, t.string().nullable(), firstOf)).target(late, {
        nulls: "category",
        folds: 3,
      }),
    ).standardize(),
    climb: number(
      derive({ from: from.altitude, to: to.altitude }, t.float64().nullable(), ({ from, to }) =>
        from === null || to === null ? null : to - from,
      ),
    ).standardize(),
    route_late: number(routeArrivals.late_rate_7d).log1p().standardize().clip(-3, 3).standardize(),
  },
});

export const services: readonly unknown[] = [flightDelayFeatures, flightFits];
