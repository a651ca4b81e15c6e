import { fileURLToPath } from "node:url";
import {
  CategoricalTransform,
  count,
  derive,
  entity,
  featureService,
  featureView,
  fileReplay,
  latest,
  mean,
  model,
  modelFolder,
  NumericTransform,
  outcome,
  requestSource,
  streamSource,
  t,
  tableSource,
} from "../../src/index.ts";

const data = (file: string): string => fileURLToPath(new URL(`data/${file}`, import.meta.url));

// 1. Entities: what a feature describes.
export const airport = entity("airport", { airport: t.string() });
export const carrier = entity("carrier", { carrier: t.string() });
export const originCarrier = entity("origin_carrier", { origin: t.string(), carrier: t.string() });
export const route = entity("route", { route: t.string() });
export const aircraft = entity("aircraft", { tail_number: t.string() });

// 2. Sources: flights as they leave and arrive, the weather, and tables of slowly changing facts.
export const departures = streamSource("departures", {
  description: "A departure, known when the aircraft leaves the gate.",
  stream: fileReplay({ path: data("departures.csv.gz") }),
  clock: "stream",
  eventTime: "departed_at",
  lateness: "1m",
  id: "flight_id",
  schema: {
    flight_id: t.string(),
    carrier: t.string(),
    origin: t.string(),
    dest: t.string(),
    route: t.string(),
    tail_number: t.string().nullable(),
    scheduled_departure: t.timestamp(),
    departed_at: t.timestamp(),
    dep_delay_minutes: t.int32(),
  },
});

export const arrivals = streamSource("arrivals", {
  description: "An arrival, known when the aircraft reaches the gate.",
  stream: fileReplay({ path: data("arrivals.csv.gz") }),
  clock: "stream",
  eventTime: "arrived_at",
  lateness: "1m",
  id: "flight_id",
  schema: {
    flight_id: t.string(),
    carrier: t.string(),
    origin: t.string(),
    dest: t.string(),
    route: t.string(),
    tail_number: t.string().nullable(),
    scheduled_departure: t.timestamp(),
    arrived_at: t.timestamp(),
    dep_delay_minutes: t.int32(),
    arr_delay_minutes: t.int32(),
    late: t.bool(),
  },
});

export const weather = streamSource("weather", {
  description: "An hour's weather at one of the three origins, known 51 minutes after the hour.",
  stream: fileReplay({ path: data("weather.csv.gz") }),
  clock: "stream",
  eventTime: "observed_at",
  lateness: "1m",
  schema: {
    origin: t.string(),
    observed_at: t.timestamp(),
    temp: t.float64().nullable(), // °F
    dewp: t.float64().nullable(), // °F
    humid: t.float64().nullable(), // %
    wind_dir: t.float64().nullable(), // degrees
    wind_speed: t.float64().nullable(), // mph
    wind_gust: t.float64().nullable(), // mph
    precip: t.float64().nullable(), // inches in the hour
    pressure: t.float64().nullable(), // mbar
    visib: t.float64().nullable(), // miles
  },
});

export const planes = tableSource("planes", {
  table: fileReplay({ path: data("planes.csv.gz") }),
  clock: "stream",
  eventTime: "valid_from",
  schema: {
    tail_number: t.string(),
    valid_from: t.timestamp(),
    year: t.int32().nullable(),
    seats: t.int32().nullable(),
  },
});

export const airports = tableSource("airports", {
  table: fileReplay({ path: data("airports.csv") }),
  clock: "stream",
  eventTime: "valid_from",
  schema: { airport: t.string(), valid_from: t.timestamp(), lat: t.float64(), lon: t.float64(), alt_feet: t.float64() },
});

// 3. What comes with a request: the flight's schedule.
const flight = requestSource({
  prediction_time: t.timestamp(),
  carrier: t.string(),
  origin: t.string(),
  dest: t.string(),
  local_hour: t.int32(),
  local_minute_of_day: t.int32(),
  day_of_week: t.int32(), // 0 is Monday
  distance_miles: t.int32(),
  scheduled_duration_minutes: t.int32(),
});

// 4. Feature views.
const leftLate = derive({ delay: departures.dep_delay_minutes }, t.float64(), ({ delay }) => (delay > 15 ? 1 : 0));
const arrivedLate = derive({ late: arrivals.late }, t.float64(), ({ late }) => (late ? 1 : 0));

export const originDepartures = featureView("origin_departures", {
  description: "How departures from an airport run.",
  source: departures,
  entity: airport,
  keys: { airport: departures.origin },
  features: {
    departures: count().over("1h"),
    delay_mean: mean(departures.dep_delay_minutes).over(["1h", "3h"]),
  },
});

export const originCarrierDepartures = featureView("origin_carrier_departures", {
  description: "How a carrier's departures from an airport run.",
  source: departures,
  entity: originCarrier,
  features: { delay_mean: mean(departures.dep_delay_minutes).over(["1h", "3h"]) },
});

export const carrierDepartures = featureView("carrier_departures", {
  description: "The share of a carrier's departures that left more than 15 minutes late.",
  source: departures,
  entity: carrier,
  features: { late_rate: mean(leftLate).over(["3h", "24h", "7d"]) },
});

export const destinationArrivals = featureView("destination_arrivals", {
  description: "How arrivals at an airport run.",
  source: arrivals,
  entity: airport,
  keys: { airport: arrivals.dest },
  features: { delay_mean: mean(arrivals.arr_delay_minutes).over(["3h", "24h"]) },
});

export const routeArrivals = featureView("route_arrivals", {
  description: "The share of a route's flights that arrived more than 15 minutes late.",
  source: arrivals,
  entity: route,
  features: { late_rate_7d: mean(arrivedLate).over("7d") },
});

export const aircraftDepartures = featureView("aircraft_departures", {
  description: "The aircraft's last departure from New York.",
  source: departures,
  entity: aircraft,
  ttl: "7d",
  features: { delay: latest(departures.dep_delay_minutes), at: latest(departures.departed_at) },
});

export const aircraftArrivals = featureView("aircraft_arrivals", {
  description: "The aircraft's last arrival from New York.",
  source: arrivals,
  entity: aircraft,
  ttl: "7d",
  features: { delay: latest(arrivals.arr_delay_minutes), at: latest(arrivals.arrived_at) },
});

export const originWeather = featureView("origin_weather", {
  description: "The latest weather report of an airport, valid for three hours.",
  source: weather,
  entity: airport,
  keys: { airport: weather.origin },
  ttl: "3h",
  features: {
    temp: latest(weather.temp),
    dewp: latest(weather.dewp),
    humid: latest(weather.humid),
    wind_dir: latest(weather.wind_dir),
    wind_speed: latest(weather.wind_speed),
    wind_gust: latest(weather.wind_gust),
    precip: latest(weather.precip),
    pressure: latest(weather.pressure),
    visib: latest(weather.visib),
    at: latest(weather.observed_at),
  },
});

export const planeFacts = featureView("plane_facts", {
  source: planes,
  entity: aircraft,
  features: { year: latest(planes.year), seats: latest(planes.seats) },
});

export const airportFacts = featureView("airport_facts", {
  source: airports,
  entity: airport,
  features: { lat: latest(airports.lat), lon: latest(airports.lon), altitude: latest(airports.alt_feet) },
});

// 5. The row that the model reads. One entity, two roles: an airport is the origin and the destination of a flight.
const origin = originDepartures.as({ airport: "origin" });
const dest = destinationArrivals.as({ airport: "dest" });
const sky = originWeather.as({ airport: "origin" });
const from = airportFacts.as({ airport: "origin" });
const to = airportFacts.as({ airport: "dest" });

const minutesSince = (event: { readonly at: Date | null; readonly now: Date }): number | null =>
  event.at === null ? null : (event.now.getTime() - event.at.getTime()) / 60_000;

const schedule = {
  local_hour: flight.local_hour,
  local_minute_of_day: flight.local_minute_of_day,
  day_of_week: flight.day_of_week,
  distance_miles: flight.distance_miles,
  scheduled_duration_minutes: flight.scheduled_duration_minutes,
  carrier: CategoricalTransform.of(flight.carrier).ordinal(),
  origin: CategoricalTransform.of(flight.origin).oneHot(["EWR", "JFK", "LGA"]),
  dest: CategoricalTransform.of(flight.dest).ordinal(),
  dest_altitude_feet: to.altitude,
  degrees_north: derive({ from: from.lat, to: to.lat }, t.float64().nullable(), ({ from, to }) =>
    from === null || to === null ? null : to - from,
  ),
  plane_year: planeFacts.year,
  plane_seats: planeFacts.seats,
};

export const flightDelayFeatures = featureService("flight_delay_v1", {
  description: "What is known of a flight 30 minutes before it should leave.",
  features: {
    ...schedule,
    origin_departures_1h: NumericTransform.of(origin.departures).log1p(),
    origin_delay_1h: origin.delay_mean_1h,
    origin_delay_3h: origin.delay_mean_3h,
    origin_carrier_delay_1h: originCarrierDepartures.delay_mean_1h,
    origin_carrier_delay_3h: originCarrierDepartures.delay_mean_3h,
    carrier_late_3h: carrierDepartures.late_rate_3h,
    carrier_late_24h: carrierDepartures.late_rate_24h,
    carrier_late_7d: carrierDepartures.late_rate_7d,
    dest_delay_3h: dest.delay_mean_3h,
    dest_delay_24h: dest.delay_mean_24h,
    route_late_7d: routeArrivals.late_rate_7d,
    aircraft_dep_delay: aircraftDepartures.delay,
    aircraft_dep_minutes: derive(
      { at: aircraftDepartures.at, now: flight.prediction_time },
      t.float64().nullable(),
      minutesSince,
    ),
    aircraft_arr_delay: aircraftArrivals.delay,
    aircraft_arr_minutes: derive(
      { at: aircraftArrivals.at, now: flight.prediction_time },
      t.float64().nullable(),
      minutesSince,
    ),
    temp: sky.temp,
    dewp: sky.dewp,
    humid: sky.humid,
    wind_dir: sky.wind_dir,
    wind_speed: sky.wind_speed,
    wind_gust: sky.wind_gust,
    precip: sky.precip,
    pressure: sky.pressure,
    visib: sky.visib,
    weather_minutes: derive({ at: sky.at, now: flight.prediction_time }, t.float64().nullable(), minutesSince),
  },
});

/** The same model without anything that streams, for the difference it makes. */
export const scheduleFeatures = featureService("flight_schedule_v1", { features: schedule });

// 6. The model, typed from the request to the answer.
export const flightDelay = model("flight_delay", {
  description: "The probability that a flight arrives more than 15 minutes late.",
  inputs: flightDelayFeatures,
  output: { probability: t.float64() },
  source: modelFolder(fileURLToPath(new URL("model", import.meta.url))),
  predictionLog: { sampleRate: 1 },
});

// 7. What became of it: the arrival says. Flights that were cancelled or diverted have none.
const predictedAt = derive(
  { departure: arrivals.scheduled_departure },
  t.timestamp(),
  ({ departure }) => new Date(departure.getTime() - 30 * 60_000),
);
export const lateArrivals = outcome("arrived_late", {
  description: "Whether the flight arrived more than 15 minutes late.",
  model: flightDelay,
  source: arrivals,
  keys: {
    carrier: arrivals.carrier,
    route: arrivals.route,
    tail_number: arrivals.tail_number,
    prediction_time: predictedAt,
  },
  label: arrivals.late,
  predicted: "probability",
  within: "2d",
  windows: ["1d", "7d", "30d"],
  bounds: { auc: 0.65 },
});
