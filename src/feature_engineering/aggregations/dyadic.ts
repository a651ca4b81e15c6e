/** Every finite double is an integer multiple of 2^−1074. */
export const dyadicScale = 1074;

/** The integer x · 2^1074, exactly. */
export function toScaledInteger(x: number): bigint {
  let scaled = x;
  let shift = dyadicScale;
  // A double with a fraction is below 2^53, so that a step of 2^500 neither overflows nor rounds.
  while (!Number.isInteger(scaled)) {
    const step = Math.min(500, shift);
    scaled *= 2 ** step;
    shift -= step;
  }
  return BigInt(scaled) << BigInt(shift);
}

/** The double nearest to `integer` · 2^−scale, ties to even; ±Infinity if it overflows. */
export function roundDyadic(integer: bigint, scale: number): number {
  return roundQuotient(integer, 1n, scale);
}

/**
 * The double nearest to `numerator` / `denominator` · 2^−scale, ties to even, in one rounding; ±Infinity if it
 * overflows. `denominator` is positive.
 */
export function roundQuotient(numerator: bigint, denominator: bigint, scale: number): number {
  if (numerator === 0n) return 0;
  const magnitude = numerator < 0n ? -numerator : numerator;
  // The quotient is kept to 64 bits or a few more, or to the last bit of the subnormals, whichever is coarser.
  const bits = bitLength(magnitude) - bitLength(denominator);
  const shift = Math.max(bits - 65, scale - dyadicScale);
  const above = shift < 0 ? magnitude << BigInt(-shift) : magnitude;
  const below = shift > 0 ? denominator << BigInt(shift) : denominator;
  let quotient = above / below;
  const remainder = above - quotient * below;
  const exponent = shift - scale;
  if (exponent === -dyadicScale && bitLength(quotient) <= 53) {
    // Subnormal, or just above: the unit of the quotient is the last bit of the result.
    const twice = remainder * 2n;
    if (twice > below || (twice === below && (quotient & 1n) === 1n)) quotient += 1n;
  } else if (remainder > 0n) {
    // A sticky bit below the last one makes Number() see that the quotient is not exact.
    quotient = (quotient << 1n) | 1n;
    return signed(numerator, scaleByPowerOfTwo(Number(quotient), exponent - 1));
  }
  return signed(numerator, scaleByPowerOfTwo(Number(quotient), exponent));
}

function signed(like: bigint, magnitude: number): number {
  return like < 0n ? -magnitude : magnitude;
}

/** x · 2^exponent where the result needs no rounding, other than to infinity. */
function scaleByPowerOfTwo(x: number, exponent: number): number {
  let result = x;
  let rest = exponent;
  while (rest > 500) {
    result *= 2 ** 500;
    rest -= 500;
  }
  while (rest < -500) {
    result *= 2 ** -500;
    rest += 500;
  }
  return result * 2 ** rest;
}

function bitLength(positive: bigint): number {
  const hex = positive.toString(16);
  return (hex.length - 1) * 4 + (32 - Math.clz32(Number.parseInt(hex[0]!, 16)));
}
