import { millraceError } from "../../../src/definitions/errors.ts";
import { localToUtc, zoneOffset } from "./local-time.ts";

const MINUTE_MS = 60_000;
/** The zone of all three origins. */
export const NEW_YORK = "America/New_York";

/** One row of the raw flights file: the columns that are used, `NA` as null. */
export interface RawFlight {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  /** Local clocks as HHMM; departure in New York's zone, arrival in the destination's; 2400 is midnight. */
  readonly sched_dep_time: number;
  readonly sched_arr_time: number;
  readonly dep_time: number | null;
  readonly arr_time: number | null;
  /** Minutes. */
  readonly dep_delay: number | null;
  readonly arr_delay: number | null;
  readonly air_time: number | null;
  /** The hour of the scheduled departure, UTC. */
  readonly time_hour: string;
  readonly carrier: string;
  readonly flight: number;
  readonly origin: string;
  readonly dest: string;
}

/** Epoch milliseconds. No departure: cancelled. A departure without an arrival: diverted, or the arrival is unknown. */
export interface FlightTimes {
  readonly scheduledDeparture: number;
  readonly scheduledArrival: number;
  readonly departedAt: number | null;
  readonly arrivedAt: number | null;
}

const minuteOfDay = (hhmm: number): number => Math.floor(hhmm / 100) * 60 + (hhmm % 100);

function inconsistent(row: RawFlight, what: string): Error {
  const flight = `${row.carrier} ${row.flight} ${row.origin}-${row.dest} of ${row.year}-${row.month}-${row.day}`;
  return millraceError(
    "FLIGHT_DATA_INCONSISTENT",
    `Flight ${flight}: ${what}. The times cannot be trusted; check the raw file and the destination's zone.`,
  );
}

/**
 * Whether an instant shows as `hhmm` in a zone, by the offset then or the one at departure: the Bureau gives the
 * arrival of a flight that was in the air as the clocks changed by the clocks of its departure.
 */
function showsAs(instant: number, hhmm: number | null, zone: string, departedAt: number): boolean {
  if (hhmm === null) return false;
  return [zoneOffset(instant, zone), zoneOffset(departedAt, zone)].some(
    (offset) => ((instant + offset) / MINUTE_MS) % 1440 === minuteOfDay(hhmm) % 1440,
  );
}

/**
 * The instants of a flight. The scheduled arrival is the first moment after the scheduled departure at which the
 * destination's clocks show the published time (the longest flight, Newark to Honolulu, is under 12 h); actual times
 * are the scheduled ones plus the delays, since the published actual clock times carry no date.
 *
 * Checked for every flight, else `FLIGHT_DATA_INCONSISTENT`: the schedule lasts 30 min to 13 h, the published actual
 * clock times are met to the minute, and departure to arrival takes the time in the air plus 0 to 4 h on the ground.
 */
export function flightTimes(row: RawFlight, destinationZone: string): FlightTimes {
  const { year, month, day } = row;
  const scheduledDeparture = Date.parse(row.time_hour) + (row.sched_dep_time % 100) * MINUTE_MS;
  if (localToUtc(year, month, day, minuteOfDay(row.sched_dep_time), NEW_YORK) !== scheduledDeparture) {
    throw inconsistent(row, `time_hour ${row.time_hour} is not the hour of ${row.sched_dep_time} in New York`);
  }
  const arrivalOnDay = (offset: number): number =>
    localToUtc(year, month, day, minuteOfDay(row.sched_arr_time) + offset * 1440, destinationZone);
  const sameDay = arrivalOnDay(0);
  const scheduledArrival = sameDay > scheduledDeparture ? sameDay : arrivalOnDay(1);
  const scheduledMinutes = (scheduledArrival - scheduledDeparture) / MINUTE_MS;
  if (scheduledMinutes < 30 || scheduledMinutes > 13 * 60) {
    throw inconsistent(row, `its schedule lasts ${scheduledMinutes} min`);
  }

  const departedAt = row.dep_delay === null ? null : scheduledDeparture + row.dep_delay * MINUTE_MS;
  const arrivedAt = row.arr_delay === null ? null : scheduledArrival + row.arr_delay * MINUTE_MS;
  if ((departedAt === null) !== (row.dep_time === null)) throw inconsistent(row, "dep_delay and dep_time disagree");
  if (departedAt !== null && !showsAs(departedAt, row.dep_time, NEW_YORK, departedAt)) {
    throw inconsistent(row, `dep_time ${row.dep_time} is not the schedule plus ${row.dep_delay} min`);
  }
  if (arrivedAt !== null) {
    if (departedAt === null || row.air_time === null) throw inconsistent(row, "it arrived but has no departure");
    if (!showsAs(arrivedAt, row.arr_time, destinationZone, departedAt)) {
      throw inconsistent(row, `arr_time ${row.arr_time} is not the schedule plus ${row.arr_delay} min`);
    }
    const groundMinutes = (arrivedAt - departedAt) / MINUTE_MS - row.air_time;
    if (groundMinutes < 0 || groundMinutes >= 4 * 60) {
      throw inconsistent(row, `it spent ${groundMinutes} min on the ground between departure and arrival`);
    }
  }
  return { scheduledDeparture, scheduledArrival, departedAt, arrivedAt };
}
