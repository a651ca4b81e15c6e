/** What a timestamp's text must look like, for error messages. */
export const ISO_TIMESTAMP_FORM = "an ISO 8601 time with its zone, such as 2026-01-31T08:15:00Z or …+01:00";

const MS_PER_DAY = 86_400_000;

function digits(text: string, at: number, count: number): number {
  let value = 0;
  for (let i = at; i < at + count; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (!(digit >= 0 && digit <= 9)) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}

/** Days from 1970-01-01 of a proleptic Gregorian date. Source: Howard Hinnant, "chrono-compatible date algorithms". */
function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year;
  const era = Math.floor(y / 400);
  const yearOfEra = y - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

const DAYS_IN_MONTH = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

function daysInMonth(year: number, month: number): number {
  if (month === 2 && year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)) return 29;
  return DAYS_IN_MONTH[month - 1] ?? 0;
}

/** Minutes east of UTC of the zone that starts at `at` and ends the text; NaN if there is none or it is malformed. */
function zoneMinutes(text: string, at: number): number {
  const sign = text.charCodeAt(at);
  if (sign === 90 || sign === 122) return text.length === at + 1 ? 0 : Number.NaN;
  if (sign !== 43 && sign !== 45) return Number.NaN;
  const rest = text.length - at - 1;
  const hours = digits(text, at + 1, 2);
  let minutes = 0;
  if (rest === 5 && text.charCodeAt(at + 3) === 58) minutes = digits(text, at + 4, 2);
  else if (rest === 4) minutes = digits(text, at + 3, 2);
  else if (rest !== 2) return Number.NaN;
  if (!(hours <= 23 && minutes <= 59)) return Number.NaN;
  return (sign === 45 ? -1 : 1) * (hours * 60 + minutes);
}

/**
 * Epoch milliseconds (UTC) of an ISO 8601 date and time with a zone (`Z`, `±hh`, `±hhmm`, `±hh:mm`), floored to the
 * millisecond; NaN if it is not one. Seconds and fractions may be left out; `T` may be a space. A time without a zone
 * is refused, since guessing one would shift windows silently.
 */
export function parseIsoTimestamp(text: string): number {
  if (text.length < 17 || text.charCodeAt(4) !== 45 || text.charCodeAt(7) !== 45 || text.charCodeAt(13) !== 58) {
    return Number.NaN;
  }
  const separator = text.charCodeAt(10);
  if (separator !== 84 && separator !== 116 && separator !== 32) return Number.NaN;
  const year = digits(text, 0, 4);
  const month = digits(text, 5, 2);
  const day = digits(text, 8, 2);
  const hour = digits(text, 11, 2);
  const minute = digits(text, 14, 2);
  let at = 16;
  let second = 0;
  let ms = 0;
  if (text.charCodeAt(at) === 58) {
    second = digits(text, 17, 2);
    at = 19;
    const point = text.charCodeAt(at);
    if (point === 46 || point === 44) {
      let scale = 100;
      const first = ++at;
      for (; at < text.length; at++) {
        const digit = text.charCodeAt(at) - 48;
        if (!(digit >= 0 && digit <= 9)) break;
        ms += digit * scale;
        // Digits beyond the third are dropped: that floors, also before 1970.
        scale = scale === 100 ? 10 : scale === 10 ? 1 : 0;
      }
      if (at === first) return Number.NaN;
    }
  }
  const zone = zoneMinutes(text, at);
  if (!(month >= 1 && month <= 12 && day >= 1 && day <= daysInMonth(year, month))) return Number.NaN;
  const endOfDay = hour === 24 && minute === 0 && second === 0 && ms === 0;
  if (!((hour <= 23 || endOfDay) && minute <= 59 && second <= 59)) return Number.NaN;
  return daysFromCivil(year, month, day) * MS_PER_DAY + (hour * 60 + minute - zone) * 60_000 + second * 1000 + ms;
}

/** True if the text would be a timestamp had it a zone. */
export function lacksZone(text: string): boolean {
  if (/^\d{4}-\d{2}-\d{2}$/.test(text)) return true;
  return !Number.isNaN(parseIsoTimestamp(`${text}Z`));
}
