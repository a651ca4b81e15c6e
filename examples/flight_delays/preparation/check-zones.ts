import { millraceError } from "../../../src/definitions/errors.ts";
import type { FlightTimes } from "./flight-times.ts";

const MINUTE_MS = 60_000;

/** A flight with its destination, its minutes in the air (null: unknown) and its moments. */
export interface FlownFlight {
  readonly dest: string;
  readonly air_time: number | null;
  readonly times: FlightTimes;
}

/**
 * Refuses (`FLIGHT_DATA_INCONSISTENT`) a destination whose flights spend, in the median, less than 10 or more than 50
 * minutes on the ground between leaving and reaching a gate. Really it is 18 to 37 minutes everywhere: an hour more
 * or less is a wrong time zone, which the bounds for a single flight are too wide to show.
 */
export function checkZones(flights: readonly FlownFlight[]): void {
  const minutesByDestination = new Map<string, number[]>();
  for (const { dest, air_time, times } of flights) {
    if (air_time === null || times.departedAt === null || times.arrivedAt === null) continue;
    const minutes = minutesByDestination.get(dest) ?? [];
    minutes.push((times.arrivedAt - times.departedAt) / MINUTE_MS - air_time);
    minutesByDestination.set(dest, minutes);
  }
  for (const [dest, minutes] of minutesByDestination) {
    const median = minutes.toSorted((a, b) => a - b)[minutes.length >> 1] ?? 0;
    if (median < 10 || median > 50) {
      throw millraceError(
        "FLIGHT_DATA_INCONSISTENT",
        `Flights to ${dest} spend ${median} min on the ground in the median, which is not plausible. Check its time zone.`,
      );
    }
  }
}
