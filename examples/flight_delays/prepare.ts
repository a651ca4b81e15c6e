/**
 * Makes the example's event streams and tables from the raw nycflights13 files of January to March 2013 (US Bureau of
 * Transportation Statistics and NOAA, CC0):
 *
 *     node examples/flight_delays/prepare.ts <folder with the raw files>
 *
 * The same input gives the same bytes. data/README.md describes what is written. Nothing is written when a flight's
 * times contradict each other.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { parse } from "csv-parse/sync";
import { millraceError } from "../../src/definitions/errors.ts";
import { checkZones } from "./preparation/check-zones.ts";
import { type FlightTimes, flightTimes, NEW_YORK, type RawFlight } from "./preparation/flight-times.ts";
import { utcToLocal } from "./preparation/local-time.ts";

const MINUTE_MS = 60_000;
/** Events from here on, so that windows of up to 7 days are full when the first prediction is asked for. */
const FIRST_EVENT = Date.parse("2013-01-23T00:00:00Z");
/** Predictions: February to train on, March to serve. */
const FIRST_PREDICTION = Date.parse("2013-02-01T00:00:00Z");
const END_OF_PREDICTIONS = Date.parse("2013-04-01T00:00:00Z");
const PREDICTION_LEAD_MS = 30 * MINUTE_MS;
const LATE_ABOVE_MINUTES = 15;
/**
 * A weather row of nycflights13 is labelled with the start of an hour but holds the greatest values reported up to
 * minute 51 of it (data-raw/weather.R of nycflights13: `filter(minute <= 51)`, `summarise_all(max)`). The routine
 * hourly report of the three airports is made at minute 51, so a row is known from then on and no earlier.
 */
const WEATHER_KNOWN_AFTER_MS = 51 * MINUTE_MS;
/** The tables describe things as of this moment: before all events. */
const TABLES_VALID_FROM = "2013-01-01T00:00:00Z";

type RawAirport = Readonly<Record<"faa" | "name" | "lat" | "lon" | "alt" | "tzone", string>>;

/** Missing from the airports file, which has the fifty states only. Degrees, feet; the zone has no summer time. */
const CARIBBEAN_AIRPORTS: readonly RawAirport[] = [
  { faa: "BQN", name: "Rafael Hernandez Airport", lat: "18.4949", lon: "-67.1294", alt: "237" },
  { faa: "PSE", name: "Mercedita Airport", lat: "18.0083", lon: "-66.563", alt: "29" },
  { faa: "SJU", name: "Luis Munoz Marin International Airport", lat: "18.4394", lon: "-66.0018", alt: "9" },
  { faa: "STT", name: "Cyril E. King Airport", lat: "18.3373", lon: "-64.9734", alt: "23" },
].map((airport) => ({ ...airport, tzone: "America/Puerto_Rico" }));

type Cell = string | number | boolean | null;
type Row = Readonly<Record<string, Cell>>;

interface Flight {
  readonly flight_id: string;
  readonly raw: RawFlight;
  readonly tailNumber: string | null;
  readonly distance: number;
  readonly times: FlightTimes;
}

const byCode = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const iso = (instant: number | null): string | null =>
  instant === null ? null : new Date(instant).toISOString().replace(".000Z", "Z");
const present = (text: string | undefined): string | null => (text === undefined || text === "NA" ? null : text);
const number = (text: string | undefined): number | null => (present(text) === null ? null : Number(text));

function readCsv(folder: string, name: string): Record<string, string>[] {
  const bytes = readFileSync(join(folder, name));
  return parse(name.endsWith(".gz") ? gunzipSync(bytes) : bytes, { columns: true }) as Record<string, string>[];
}

function required(value: number | null, column: string): number {
  if (value !== null && Number.isFinite(value)) return value;
  throw millraceError("FLIGHT_DATA_INCONSISTENT", `A flight has no ${column}; the raw flights file is damaged.`);
}

function toFlight(row: Record<string, string>, zones: ReadonlyMap<string, string>): Flight {
  const { carrier = "", origin = "", dest = "", time_hour = "" } = row;
  const whole = (column: string): number => required(number(row[column]), column);
  const raw: RawFlight = {
    year: whole("year"),
    month: whole("month"),
    day: whole("day"),
    sched_dep_time: whole("sched_dep_time"),
    sched_arr_time: whole("sched_arr_time"),
    dep_time: number(row.dep_time),
    arr_time: number(row.arr_time),
    dep_delay: number(row.dep_delay),
    arr_delay: number(row.arr_delay),
    air_time: number(row.air_time),
    flight: whole("flight"),
    time_hour,
    carrier,
    origin,
    dest,
  };
  const zone = zones.get(dest);
  if (zone === undefined) {
    throw millraceError(
      "FLIGHT_DATA_INCONSISTENT",
      `Destination ${dest} has no time zone: it is neither in airports.csv.gz nor among the airports listed here. Add it.`,
    );
  }
  const date = [raw.year, raw.month, raw.day].map((part) => String(part).padStart(2, "0")).join("-");
  const flight_id = [date, origin, carrier, raw.flight].join("-");
  const tailNumber = present(row.tailnum);
  return { flight_id, raw, tailNumber, distance: whole("distance"), times: flightTimes(raw, zone) };
}

/** Which flight it is; the order of the columns of all files is chosen to compress well. */
function identity({ flight_id, raw }: Flight): Row {
  const { carrier, flight, origin, dest } = raw;
  return { flight_id, carrier, flight, origin, dest, route: `${origin}-${dest}` };
}

function departure(flight: Flight): Row {
  return {
    ...identity(flight),
    tail_number: flight.tailNumber,
    scheduled_departure: iso(flight.times.scheduledDeparture),
    departed_at: iso(flight.times.departedAt),
    dep_delay_minutes: flight.raw.dep_delay,
  };
}

function arrival(flight: Flight): Row {
  // The number is left out: it costs 170 kB, and no feature of arrivals wants it.
  const { flight: _, ...columns } = identity(flight);
  return {
    ...columns,
    tail_number: flight.tailNumber,
    scheduled_departure: iso(flight.times.scheduledDeparture),
    arrived_at: iso(flight.times.arrivedAt),
    dep_delay_minutes: flight.raw.dep_delay,
    arr_delay_minutes: flight.raw.arr_delay,
    late: isLate(flight.raw),
  };
}

function isLate({ arr_delay }: RawFlight): boolean | null {
  return arr_delay === null ? null : arr_delay > LATE_ABOVE_MINUTES;
}

function scheduled(flight: Flight): Row {
  const { scheduledDeparture, scheduledArrival } = flight.times;
  const local = utcToLocal(scheduledDeparture, NEW_YORK);
  return {
    ...identity(flight),
    distance_miles: flight.distance,
    scheduled_duration_minutes: (scheduledArrival - scheduledDeparture) / MINUTE_MS,
    tail_number: flight.tailNumber,
    prediction_time: iso(scheduledDeparture - PREDICTION_LEAD_MS),
    scheduled_departure: iso(scheduledDeparture),
    local_hour: local.hour,
    local_minute_of_day: local.hour * 60 + local.minute,
    day_of_week: local.dayOfWeek,
    scheduled_arrival: iso(scheduledArrival),
    late: isLate(flight.raw),
    arr_delay_minutes: flight.raw.arr_delay,
  };
}

function observation(row: Record<string, string>): Row {
  const start = Date.parse(row.time_hour ?? "");
  const measures = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"];
  // Speeds were knots times 1.15078: five decimals take the rounding errors off again.
  const value = (column: string): number | null => {
    const measured = number(row[column]);
    return measured === null ? null : Number(measured.toFixed(5));
  };
  return {
    origin: row.origin ?? null,
    time_hour: iso(start),
    observed_at: iso(start + WEATHER_KNOWN_AFTER_MS),
    ...Object.fromEntries(measures.map((column) => [column, value(column)])),
  };
}

function toCsv(rows: readonly Row[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const cell = (value: Cell | undefined): string => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return [columns, ...rows.map((row) => columns.map((column) => row[column]))]
    .map((cells) => `${cells.map(cell).join(",")}\n`)
    .join("");
}

function write(folder: string, name: string, rows: readonly Row[]): void {
  let bytes: Uint8Array = Buffer.from(toCsv(rows));
  if (name.endsWith(".gz")) {
    bytes = gzipSync(bytes, { level: 9 });
    // Bytes 4 to 7 are the time of writing, byte 9 the operating system: zero and "unknown" everywhere.
    bytes.fill(0, 4, 8);
    bytes[9] = 255;
  }
  writeFileSync(join(folder, name), bytes);
  process.stderr.write(`${name.padEnd(18)} ${String(rows.length).padStart(6)} rows ${bytes.length} bytes\n`);
}

/** Rows in the order of a time column, ties in the order of a second column. */
function inOrder(rows: readonly Row[], time: string, tie: string): Row[] {
  const key = (row: Row): string => `${row[time]} ${row[tie]}`;
  return rows.toSorted((a, b) => byCode(key(a), key(b)));
}

const from = (row: Row, column: string, first: number): boolean => Date.parse(String(row[column])) >= first;

function prepare(source: string, target: string): void {
  const airports = [...readCsv(source, "airports.csv.gz"), ...CARIBBEAN_AIRPORTS] as RawAirport[];
  const zones = new Map(airports.map((airport) => [airport.faa, airport.tzone]));
  const flights = readCsv(source, "flights_2013_q1.csv.gz").map((row) => toFlight(row, zones));
  if (new Set(flights.map((flight) => flight.flight_id)).size !== flights.length) {
    throw millraceError("FLIGHT_DATA_INCONSISTENT", "Two flights have one flight_id; the raw file has rows twice.");
  }
  checkZones(flights.map(({ raw, times }) => ({ dest: raw.dest, air_time: raw.air_time, times })));

  const departures = flights.filter((flight) => (flight.times.departedAt ?? 0) >= FIRST_EVENT);
  const arrivals = flights.filter((flight) => (flight.times.arrivedAt ?? 0) >= FIRST_EVENT);
  const predicted = flights.filter(({ times }) => {
    const predictionTime = times.scheduledDeparture - PREDICTION_LEAD_MS;
    return predictionTime >= FIRST_PREDICTION && predictionTime < END_OF_PREDICTIONS;
  });
  const weather = readCsv(source, "weather_2013_q1.csv.gz").map(observation);

  const used = [...departures, ...arrivals, ...predicted];
  const airportCodes = new Set(used.flatMap(({ raw }) => [raw.origin, raw.dest]));
  const carriers = new Set(used.map(({ raw }) => raw.carrier));
  const tailNumbers = new Set(used.map(({ tailNumber }) => tailNumber));

  mkdirSync(target, { recursive: true });
  write(target, "departures.csv.gz", inOrder(departures.map(departure), "departed_at", "flight_id"));
  write(target, "arrivals.csv.gz", inOrder(arrivals.map(arrival), "arrived_at", "flight_id"));
  write(target, "flights.csv.gz", inOrder(predicted.map(scheduled), "prediction_time", "flight_id"));
  write(
    target,
    "weather.csv.gz",
    inOrder(
      weather.filter((row) => from(row, "observed_at", FIRST_EVENT)),
      "observed_at",
      "origin",
    ),
  );
  write(
    target,
    "airports.csv",
    airports
      .filter(({ faa }) => airportCodes.has(faa))
      .toSorted((a, b) => byCode(a.faa, b.faa))
      .map(({ faa, name, lat, lon, alt, tzone }) => ({
        airport: faa,
        valid_from: TABLES_VALID_FROM,
        name,
        lat: Number(lat),
        lon: Number(lon),
        alt_feet: Number(alt),
        tz: tzone,
      })),
  );
  write(
    target,
    "planes.csv.gz",
    readCsv(source, "planes.csv.gz")
      .filter((plane) => tailNumbers.has(plane.tailnum ?? ""))
      .toSorted((a, b) => byCode(a.tailnum ?? "", b.tailnum ?? ""))
      .map((plane) => ({
        tail_number: plane.tailnum ?? null,
        valid_from: TABLES_VALID_FROM,
        year: number(plane.year),
        manufacturer: present(plane.manufacturer),
        model: present(plane.model),
        engines: number(plane.engines),
        seats: number(plane.seats),
      })),
  );
  write(
    target,
    "airlines.csv",
    readCsv(source, "airlines.csv")
      .filter((airline) => carriers.has(airline.carrier ?? ""))
      .map(({ carrier = null, name = null }) => ({ carrier, valid_from: TABLES_VALID_FROM, name })),
  );
}

const source = process.argv[2];
if (source === undefined) {
  process.stderr.write("Usage: node examples/flight_delays/prepare.ts <folder with the raw nycflights13 files>\n");
  process.exitCode = 2;
} else {
  prepare(source, join(import.meta.dirname, "data"));
}
