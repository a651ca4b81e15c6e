/**
 * `timestamptz` begins in 4713 BC, the platform's time 267,000 years earlier. It counts microseconds, of which the
 * platform uses every thousandth only: so times before 4368 BC are kept one microsecond apart below that moment, in
 * their order. All others are what they say.
 */
const OLDEST_PLAIN = -200_000_000_000_000;
/** PostgreSQL counts from 2000, in milliseconds after 1970. */
const EPOCH = 946_684_800_000;
const TWO_32 = 2 ** 32;
const LARGEST = 8.64e15;
const OLDEST_MICROS = (BigInt(OLDEST_PLAIN) - BigInt(EPOCH)) * 1_000n;
/** The upper word of the oldest plain time: anything with a greater one is plain. */
const OLDEST_HIGH = Number(OLDEST_MICROS >> 32n);

/** Writes epoch milliseconds as the 8 bytes of a `timestamptz`. */
export function writeTime(view: DataView, at: number, milliseconds: number): void {
  if (milliseconds < OLDEST_PLAIN) {
    view.setBigInt64(at, OLDEST_MICROS - BigInt(OLDEST_PLAIN - milliseconds));
    return;
  }
  const since = milliseconds - EPOCH;
  const high = Math.floor(since / TWO_32);
  const low = (since - high * TWO_32) * 1_000;
  const carry = Math.floor(low / TWO_32);
  view.setInt32(at, high * 1_000 + carry);
  view.setUint32(at + 4, low - carry * TWO_32);
}

/** Epoch milliseconds of the 8 bytes of a `timestamptz`. */
export function readTime(view: DataView, at: number): number {
  const high = view.getInt32(at);
  const low = view.getUint32(at + 4);
  if (high <= OLDEST_HIGH) {
    const micros = view.getBigInt64(at);
    if (micros < OLDEST_MICROS) return OLDEST_PLAIN - Number(OLDEST_MICROS - micros);
  }
  const thousands = Math.floor(high / 1_000);
  return thousands * TWO_32 + Math.floor(((high - thousands * 1_000) * TWO_32 + low) / 1_000) + EPOCH;
}

/** Epoch milliseconds, rounded up, as a constant. */
export function timeLiteral(milliseconds: number): string {
  return `timestamptz '${timeText(milliseconds)}'`;
}

/** Epoch milliseconds, rounded up, as PostgreSQL reads them. */
export function timeText(milliseconds: number): string {
  if (milliseconds < -LARGEST) return "-infinity";
  if (milliseconds > LARGEST) return "infinity";
  const time = Math.ceil(milliseconds);
  const below = Math.max(0, OLDEST_PLAIN - time);
  const whole = below === 0 ? time : OLDEST_PLAIN - Math.ceil(below / 1_000);
  const micros = below === 0 ? 0 : Math.ceil(below / 1_000) * 1_000 - below;
  const date = new Date(whole);
  const year = date.getUTCFullYear();
  const pad = (value: number, width: number): string => String(value).padStart(width, "0");
  const day = `${pad(year > 0 ? year : 1 - year, 4)}-${pad(date.getUTCMonth() + 1, 2)}-${pad(date.getUTCDate(), 2)}`;
  const clock = `${pad(date.getUTCHours(), 2)}:${pad(date.getUTCMinutes(), 2)}:${pad(date.getUTCSeconds(), 2)}`;
  const fraction = `${pad(date.getUTCMilliseconds(), 3)}${pad(micros, 3)}`;
  return `${day} ${clock}.${fraction}+00${year > 0 ? "" : " BC"}`;
}

/** Epoch milliseconds, exactly, of a plain `timestamptz`, as SQL. */
export function millis(time: string): string {
  return `round(extract(epoch FROM ${time}) * 1000)::double precision`;
}

/** The moment from which a reader counts an event by its time, one millisecond later, as SQL. */
export function nextMoment(time: string): string {
  return `${time} + CASE WHEN ${time} < ${timeLiteral(OLDEST_PLAIN)} THEN interval '1 microsecond' ELSE interval '1 millisecond' END`;
}
