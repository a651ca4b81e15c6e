import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { checkZones, type FlownFlight } from "../../examples/flight_delays/preparation/check-zones.ts";
import { flightTimes, type RawFlight } from "../../examples/flight_delays/preparation/flight-times.ts";
import { localToUtc, utcToLocal, zoneOffset } from "../../examples/flight_delays/preparation/local-time.ts";

const MINUTE_MS = 60_000;
const folder = join(import.meta.dirname, "../../examples/flight_delays/data");

type Row = Record<string, string>;

function read(name: string): Row[] {
  const bytes = readFileSync(join(folder, name));
  return parse(name.endsWith(".gz") ? gunzipSync(bytes) : bytes, { columns: true }) as Row[];
}

const departures = read("departures.csv.gz");
const arrivals = read("arrivals.csv.gz");
const flights = read("flights.csv.gz");
const weather = read("weather.csv.gz");
const byId = (rows: Row[]): Map<string, Row> => new Map(rows.map((row) => [row.flight_id ?? "", row]));
const departureOf = byId(departures);
const arrivalOf = byId(arrivals);
const flightOf = byId(flights);
const at = (row: Row | undefined, column: string): number => Date.parse(row?.[column] ?? "none");
/** The rows that break a rule, so that a failure shows them. */
const breaking = (rows: Row[], holds: (row: Row) => boolean): Row[] => rows.filter((row) => !holds(row)).slice(0, 5);

describe("the committed files", () => {
  test("have the documented numbers of rows", () => {
    expect([departures.length, arrivals.length, flights.length, weather.length]).toEqual([59355, 59355, 53820, 4900]);
    const february = flights.filter((row) => (row.prediction_time ?? "") < "2013-03-01");
    expect([february.length, february.filter((row) => row.late === "").length]).toEqual([24941, 1348]);
    expect(["airports.csv", "planes.csv.gz", "airlines.csv"].map((name) => read(name).length)).toEqual([98, 2853, 16]);
  });

  test.each([
    ["departures", departures, "departed_at", "flight_id"],
    ["arrivals", arrivals, "arrived_at", "flight_id"],
    ["flights", flights, "prediction_time", "flight_id"],
    ["weather", weather, "observed_at", "origin"],
  ] as const)("hold %s in the strict order of their time, then their id", (_, rows, time, id) => {
    const keys = rows.map((row) => `${row[time]} ${row[id]}`);
    expect(keys.findIndex((key, i) => i > 0 && key <= keys[i - 1]!)).toBe(-1);
    expect(breaking(rows, (row) => /^2013-\d\d-\d\dT\d\d:\d\d:00Z$/.test(row[time] ?? ""))).toEqual([]);
  });

  test("name each flight once per file", () => {
    for (const rows of [departures, arrivals, flights]) expect(byId(rows).size).toBe(rows.length);
  });

  test("have events from 23 January on, so that windows of 7 days are full on 1 February", () => {
    for (const [rows, time] of [
      [departures, "departed_at"],
      [arrivals, "arrived_at"],
      [weather, "observed_at"],
    ] as const) {
      expect(rows[0]?.[time]).toMatch(/^2013-01-23T00:/);
      expect(at(rows.at(-1), time)).toBeGreaterThanOrEqual(Date.parse("2013-03-31T23:00:00Z"));
    }
  });

  test("let no flight leave more than 35 minutes early, nor arrive before it left", () => {
    const minutes = (a: number, b: number): number => (a - b) / MINUTE_MS;
    expect(
      breaking(departures, (row) => {
        const delay = minutes(at(row, "departed_at"), at(row, "scheduled_departure"));
        return delay === Number(row.dep_delay_minutes) && delay >= -35;
      }),
    ).toEqual([]);
    const flown = arrivals.filter((row) => departureOf.has(row.flight_id ?? ""));
    // Flights that left before the first event and arrived after it.
    expect(arrivals.length - flown.length).toBe(180);
    expect(
      breaking(flown, (row) => {
        const block = minutes(at(row, "arrived_at"), at(departureOf.get(row.flight_id ?? ""), "departed_at"));
        return block >= 25 && block <= 13 * 60;
      }),
    ).toEqual([]);
  });

  test("tell the same outcome in the schedule as in the arrivals", () => {
    const outcome = (row: Row | undefined): string => `${row?.late ?? ""} ${row?.arr_delay_minutes ?? ""}`;
    expect(breaking(flights, (row) => outcome(row) === outcome(arrivalOf.get(row.flight_id ?? "")))).toEqual([]);
    expect(breaking(arrivals, (row) => row.late === String(Number(row.arr_delay_minutes) > 15))).toEqual([]);
    expect(
      breaking(
        flights.filter((row) => row.late !== ""),
        (row) => at(arrivalOf.get(row.flight_id ?? ""), "arrived_at") > at(row, "prediction_time"),
      ),
    ).toEqual([]);
  });

  test("predict 30 minutes ahead, with the calendar of New York", () => {
    expect(
      breaking(flights, (row) => {
        const local = utcToLocal(at(row, "scheduled_departure"), "America/New_York");
        return (
          at(row, "scheduled_departure") - at(row, "prediction_time") === 30 * MINUTE_MS &&
          Number(row.local_minute_of_day) === local.hour * 60 + local.minute &&
          Number(row.local_hour) === local.hour &&
          Number(row.day_of_week) === local.dayOfWeek
        );
      }),
    ).toEqual([]);
    // 1 February 2013 was a Friday.
    expect(flightOf.get("2013-02-01-LGA-EV-6055")?.day_of_week).toBe("4");
  });

  test("count weather as known only when its hour's last report was made", () => {
    expect(breaking(weather, (row) => at(row, "observed_at") - at(row, "time_hour") === 51 * MINUTE_MS)).toEqual([]);
  });

  test("describe every airport and airline that appears", () => {
    const airports = new Set(read("airports.csv").map((row) => row.airport));
    const airlines = new Set(read("airlines.csv").map((row) => row.carrier));
    for (const rows of [departures, arrivals, flights]) {
      expect(breaking(rows, (row) => airports.has(row.origin) && airports.has(row.dest))).toEqual([]);
      expect(breaking(rows, (row) => airlines.has(row.carrier))).toEqual([]);
    }
  });

  // Worked out by hand from the published local times and the zones' rules.
  test.each([
    // 9:00 EST to 15:40 in Honolulu (UTC-10), 33 min early.
    ["2013-03-09-JFK-HA-51", "2013-03-09T14:00:00Z", "2013-03-09T13:58:00Z", "2013-03-10T01:07:00Z"],
    // 10:00 EDT, the same moment of the day in UTC: Honolulu has no summer time. 15:30 there, 16 min early.
    ["2013-03-10-JFK-HA-51", "2013-03-10T14:00:00Z", "2013-03-10T14:01:00Z", "2013-03-11T01:14:00Z"],
    // 19:15 EST to 22:57 in Phoenix (UTC-7), 25 min early; the next day 6:30 EDT to 9:19, 24 min early.
    ["2013-03-09-JFK-DL-1345", "2013-03-10T00:15:00Z", "2013-03-10T00:14:00Z", "2013-03-10T05:32:00Z"],
    ["2013-03-10-JFK-US-311", "2013-03-10T10:30:00Z", "2013-03-10T10:25:00Z", "2013-03-10T15:55:00Z"],
    // 21:55 EST to 2:42 in San Juan (UTC-4), over midnight and the change of clocks; 62 min late.
    ["2013-03-09-JFK-B6-713", "2013-03-10T02:55:00Z", "2013-03-10T04:17:00Z", "2013-03-10T07:44:00Z"],
    // Due in West Palm Beach at 0:34 EST, there 89 min later: 2:03 EST, which the clocks showed as 3:03 EDT.
    ["2013-03-09-JFK-B6-35", "2013-03-10T02:45:00Z", "2013-03-10T04:06:00Z", "2013-03-10T07:03:00Z"],
  ])("have the right moments for %s", (id, scheduledDeparture, departedAt, arrivedAt) => {
    expect(departureOf.get(id)).toMatchObject({ scheduled_departure: scheduledDeparture, departed_at: departedAt });
    expect(arrivalOf.get(id)).toMatchObject({ scheduled_departure: scheduledDeparture, arrived_at: arrivedAt });
  });
});

describe("local time", () => {
  const zones = ["America/New_York", "America/Chicago", "America/Phoenix", "Pacific/Honolulu", "America/Puerto_Rico"];

  test("comes back as the same moment, or as the other one that the clocks show twice", () => {
    // Three days around the two changes of clocks in 2013.
    const near = (month: number, day: number): fc.Arbitrary<number> =>
      fc.integer({ min: Date.UTC(2013, month, day - 1) / MINUTE_MS, max: Date.UTC(2013, month, day + 2) / MINUTE_MS });
    fc.assert(
      fc.property(fc.oneof(near(2, 10), near(10, 3)), fc.constantFrom(...zones), (minutes, zone) => {
        const instant = minutes * MINUTE_MS;
        const local = utcToLocal(instant, zone);
        const back = localToUtc(local.year, local.month, local.day, local.hour * 60 + local.minute, zone);
        expect(utcToLocal(back, zone)).toEqual(local);
        if (zoneOffset(back, zone) === zoneOffset(instant, zone)) expect(back).toBe(instant);
        else expect(instant - back).toBe(60 * MINUTE_MS);
      }),
    );
  });

  test("reads a skipped time with the offset before the change", () => {
    expect(localToUtc(2013, 3, 10, 150, "America/New_York")).toBe(Date.parse("2013-03-10T07:30:00Z"));
  });

  test("reads a time that is shown twice as the first of the two", () => {
    expect(localToUtc(2013, 11, 3, 90, "America/New_York")).toBe(Date.parse("2013-11-03T05:30:00Z"));
  });

  test("takes a minute outside the day as another day's", () => {
    expect(localToUtc(2013, 2, 28, 1440 + 30, "Pacific/Honolulu")).toBe(Date.parse("2013-03-01T10:30:00Z"));
  });
});

describe("a flight's times", () => {
  const flight: RawFlight = {
    ...{ year: 2013, month: 1, day: 1, carrier: "UA", flight: 1545, origin: "EWR", dest: "IAH" },
    ...{ sched_dep_time: 515, dep_time: 517, dep_delay: 2, time_hour: "2013-01-01T10:00:00Z" },
    ...{ sched_arr_time: 819, arr_time: 830, arr_delay: 11, air_time: 227 },
  };

  test("are right for a consistent row", () => {
    const { departedAt, arrivedAt } = flightTimes(flight, "America/Chicago");
    expect([departedAt, arrivedAt]).toEqual([Date.parse("2013-01-01T10:17:00Z"), Date.parse("2013-01-01T14:30:00Z")]);
  });

  test("are refused for a destination whose zone is an hour off, although each flight's may pass", () => {
    const flown = (zone: string): FlownFlight[] => [{ dest: "IAH", air_time: 227, times: flightTimes(flight, zone) }];
    checkZones(flown("America/Chicago"));
    expect(() => checkZones(flown("America/Denver"))).toThrow("IAH spend 86 min");
  });

  test.each([
    ["a zone two hours off", {}, "America/Puerto_Rico", "on the ground"],
    ["a departure off the schedule", { dep_time: 518 }, "America/Chicago", "dep_time 518"],
    ["an arrival off the schedule", { arr_time: 930 }, "America/Chicago", "arr_time 930"],
    ["an hour that is not the schedule's", { time_hour: "2013-01-01T11:00:00Z" }, "America/Chicago", "time_hour"],
    ["more time in the air than passed", { air_time: 254 }, "America/Chicago", "on the ground"],
  ])("are refused for %s", (_, change, zone, reason) => {
    const attempt = (): unknown => flightTimes({ ...flight, ...change }, zone);
    expect(attempt).toThrow(expect.objectContaining({ code: "FLIGHT_DATA_INCONSISTENT" }));
    expect(attempt).toThrow(reason);
  });
});
