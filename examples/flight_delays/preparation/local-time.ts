const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;

/** What a wall clock and a calendar show. */
export interface LocalTime {
  readonly year: number;
  /** 1 to 12. */
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  /** 0 is Monday. */
  readonly dayOfWeek: number;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(zone: string): Intl.DateTimeFormat {
  let format = formats.get(zone);
  if (format === undefined) {
    format = new Intl.DateTimeFormat("en-US", {
      timeZone: zone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
    });
    formats.set(zone, format);
  }
  return format;
}

/** What the clocks of an IANA zone show at an instant (epoch milliseconds, a whole minute). */
export function utcToLocal(instant: number, zone: string): LocalTime {
  const shown: Record<string, number> = {};
  for (const part of formatOf(zone).formatToParts(instant)) shown[part.type] = Number(part.value);
  const { year = 0, month = 1, day = 1, hour = 0, minute = 0 } = shown;
  return { year, month, day, hour, minute, dayOfWeek: (new Date(Date.UTC(year, month - 1, day)).getUTCDay() + 6) % 7 };
}

/** Local time minus UTC at an instant (a whole minute), in milliseconds. */
export function zoneOffset(instant: number, zone: string): number {
  const local = utcToLocal(instant, zone);
  return Date.UTC(local.year, local.month - 1, local.day, local.hour, local.minute) - instant;
}

/**
 * The instant (epoch milliseconds) at which the clocks of an IANA zone show a time; `minuteOfDay` may lie outside
 * [0, 1440) and then means another day. A time shown twice (clocks go back) is the first of the two; a time that is
 * skipped (clocks go forward) is read with the offset before the change. Same rule as Temporal's `compatible`.
 */
export function localToUtc(year: number, month: number, day: number, minuteOfDay: number, zone: string): number {
  const shown = Date.UTC(year, month - 1, day) + minuteOfDay * MINUTE_MS;
  const before = shown - zoneOffset(shown - DAY_MS, zone);
  if (before + zoneOffset(before, zone) === shown) return before;
  const after = shown - zoneOffset(shown + DAY_MS, zone);
  return after + zoneOffset(after, zone) === shown ? after : before;
}
