import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { parse } from "csv-parse/sync";

/** A scheduled flight of the example's data, as a lookup, with its outcome. */
export interface Flight {
  readonly id: string;
  /** Epoch milliseconds. */
  readonly time: number;
  readonly lookup: Readonly<Record<string, unknown>>;
  /** Null where there is none: cancelled or diverted. */
  readonly late: boolean | null;
  /** At arrival, minutes; null where there is no outcome. */
  readonly delayMinutes: number | null;
  /** When the outcome is known, epoch milliseconds; null where there is none. */
  readonly knownAt: number | null;
}

const KEYS = ["carrier", "origin", "dest", "route", "tail_number"];
const NUMBERS = ["local_hour", "local_minute_of_day", "day_of_week", "distance_miles", "scheduled_duration_minutes"];

/** The flights of one month (`2013-02` or `2013-03`), in the order of their prediction times. */
export function readFlights(month: string): Flight[] {
  const file = new URL("../data/flights.csv.gz", import.meta.url);
  const records = parse(gunzipSync(readFileSync(file)), { columns: true }) as Record<string, string>[];
  return records
    .filter((record) => record.prediction_time!.startsWith(month))
    .map((record) => ({
      id: record.flight_id!,
      time: Date.parse(record.prediction_time!),
      lookup: {
        ...Object.fromEntries(KEYS.map((name) => [name, record[name] === "" ? null : record[name]])),
        ...Object.fromEntries(NUMBERS.map((name) => [name, Number(record[name])])),
        prediction_time: record.prediction_time,
      },
      late: record.late === "" ? null : record.late === "true",
      delayMinutes: record.late === "" ? null : Number(record.arr_delay_minutes),
      knownAt:
        record.late === "" ? null : Date.parse(record.scheduled_arrival!) + Number(record.arr_delay_minutes) * 60_000,
    }));
}
