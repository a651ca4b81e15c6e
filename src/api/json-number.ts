/** Powers of ten that doubles hold exactly. */
const TENS: Float64Array = Float64Array.from({ length: 23 }, (_, power) => Number(`1e${power}`));
/** Powers within ±270: products of up to 18 digits with them, and the errors of these, are normal numbers. */
const MOST_POWER = 270;
/** Powers of ten as two doubles, from −270 on: the nearest, and what it lacks; NaN until it is asked for. */
const powers: Float64Array = new Float64Array(2 * (2 * MOST_POWER + 1)).fill(Number.NaN);
const [ZERO, MINUS, PLUS, POINT, SMALL_E] = [0x30, 0x2d, 0x2b, 0x2e, 0x65] as const;
/** The ninth digit fits below it. */
const EIGHT_DIGITS = 100_000_000;

/**
 * Reads the number that begins at `at` into `out[index]`, with the value that `JSON.parse` gives. Returns where it ends;
 * −1 if there is none that JSON has. What follows it is the caller's to judge. It is read up to the first byte that is
 * none of a number: bytes that must not be read may not follow one directly.
 *
 * Up to 18 digits are two whole numbers of nine. Where they make no more than 2^53 and the power of ten is within ±22,
 * both are exact and one operation rounds once (W. Clinger, "How to Read Floating Point Numbers Accurately", PLDI 1990);
 * else their product is taken as two doubles, and stands if its error cannot change the rounding. `Number` reads the rest.
 */
export function readJsonNumber(bytes: Uint8Array, at: number, out: Float64Array, index: number): number {
  const from = at;
  const isNegative = bytes[at] === MINUS;
  if (isNegative) at++;
  let digit = bytes[at]! - ZERO;
  if (!(digit >= 0 && digit <= 9)) return -1;
  let high = digit;
  let low = 0;
  let lowDigits = 0;
  let scale = 0;
  digit = bytes[++at]! - ZERO;
  if (high === 0 && digit >= 0 && digit <= 9) return -1;
  while (digit >= 0 && digit <= 9 && high < EIGHT_DIGITS) {
    high = (high * 10 + digit) | 0;
    digit = bytes[++at]! - ZERO;
  }
  while (digit >= 0 && digit <= 9 && lowDigits < 9) {
    low = (low * 10 + digit) | 0;
    lowDigits++;
    digit = bytes[++at]! - ZERO;
  }
  if (digit === POINT - ZERO) {
    const point = at;
    digit = bytes[++at]! - ZERO;
    if (lowDigits === 0) {
      while (digit >= 0 && digit <= 9 && high < EIGHT_DIGITS) {
        high = (high * 10 + digit) | 0;
        digit = bytes[++at]! - ZERO;
      }
    }
    while (digit >= 0 && digit <= 9 && lowDigits < 9) {
      low = (low * 10 + digit) | 0;
      lowDigits++;
      digit = bytes[++at]! - ZERO;
    }
    scale = at - point - 1;
    if (scale === 0) return -1;
  }
  if ((digit >= 0 && digit <= 9) || digit + ZERO === SMALL_E || digit + ZERO === SMALL_E - 32) {
    return readLong(bytes, from, at, high, low, lowDigits, scale, out, index);
  }
  const whole = lowDigits === 0 ? high : high * TENS[lowDigits]! + low;
  if (whole <= Number.MAX_SAFE_INTEGER && scale < TENS.length) {
    const value = scale === 0 ? whole : whole / TENS[scale]!;
    out[index] = isNegative ? -value : value;
    return at;
  }
  const value = product(high * TENS[lowDigits]!, low, -scale);
  out[index] = Number.isNaN(value) ? Number(asciiText(bytes, from, at)) : isNegative ? -value : value;
  return at;
}

/** The rest of a number with more digits than were read, or with an exponent. */
function readLong(
  bytes: Uint8Array,
  from: number,
  at: number,
  high: number,
  low: number,
  lowDigits: number,
  scale: number,
  out: Float64Array,
  index: number,
): number {
  let isWhole = true;
  let byte = bytes[at]!;
  while (isDigit(byte)) {
    isWhole = false;
    byte = bytes[++at]!;
  }
  if (byte === POINT && scale === 0) {
    byte = bytes[++at]!;
    if (!isDigit(byte)) return -1;
    while (isDigit(byte)) byte = bytes[++at]!;
  }
  let exponent = 0;
  if ((byte | 32) === SMALL_E) {
    byte = bytes[++at]!;
    const isSmall = byte === MINUS;
    if (isSmall || byte === PLUS) byte = bytes[++at]!;
    if (!isDigit(byte)) return -1;
    while (isDigit(byte)) {
      if (exponent < 10_000) exponent = exponent * 10 + (byte - ZERO);
      byte = bytes[++at]!;
    }
    if (isSmall) exponent = -exponent;
  }
  let value = isWhole ? product(high * TENS[lowDigits]!, low, exponent - scale) : Number.NaN;
  if (Number.isNaN(value)) value = Number(asciiText(bytes, from, at));
  else if (bytes[from] === MINUS) value = -value;
  out[index] = value;
  return at;
}

/**
 * (`high` + `low`) · 10^`power`, rounded once; NaN where that is not certain. `high` is exact and not below `low`.
 * Source: T. J. Dekker, "A Floating-Point Technique for Extending the Available Precision", Numer. Math. 18, 1971. The
 * parts that are left out and the roundings of the rest add up to less than 2^−103 of the product.
 */
function product(high: number, low: number, power: number): number {
  const whole = high + low;
  if (whole === 0) return 0;
  if (power < -MOST_POWER || power > MOST_POWER) return Number.NaN;
  const place = 2 * (power + MOST_POWER);
  if (Number.isNaN(powers[place]!)) {
    powers[place] = Number(`1e${power}`);
    powers[place + 1] = lackOf(power);
  }
  const rest = low - (whole - high);
  const ten = powers[place]!;
  const tenRest = powers[place + 1]!;
  const near = whole * ten;
  // Halves of 26 bits, whose products are exact.
  const a = 134_217_729 * whole;
  const wholeHigh = a - (a - whole);
  const wholeLow = whole - wholeHigh;
  const b = 134_217_729 * ten;
  const tenHigh = b - (b - ten);
  const tenLow = ten - tenHigh;
  const error = wholeHigh * tenHigh - near + wholeHigh * tenLow + wholeLow * tenHigh + wholeLow * tenLow;
  const far = error + (whole * tenRest + rest * ten);
  const doubt = near * 2 ** -100;
  const value = near + (far + doubt);
  return value === near + (far - doubt) ? value : Number.NaN;
}

/** 10^`power` less the double nearest to it. */
function lackOf(power: number): number {
  const near = Number(`1e${power}`);
  if (power >= 0) return Number(10n ** BigInt(power) - BigInt(near));
  // near = mantissa · 2^exponent
  const bits = new BigUint64Array(Float64Array.of(near).buffer)[0]!;
  const mantissa = (bits & 0xf_ffff_ffff_ffffn) | 0x10_0000_0000_0000n;
  const exponent = Number(bits >> 52n) - 1_075;
  const ten = 10n ** BigInt(-power);
  const lack = (((1n << BigInt(-exponent)) - mantissa * ten) << 200n) / ten;
  return Number(lack) * 2 ** -200 * 2 ** exponent;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= ZERO + 9;
}

function asciiText(bytes: Uint8Array, from: number, to: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + from, to - from).toString("latin1");
}
