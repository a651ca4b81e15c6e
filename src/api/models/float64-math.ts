/**
 * `exp` to the bit as glibc 2.28 and later compute it on x86-64 with fused multiply-add, which LightGBM's wheels call;
 * `Math.exp` differs in the last place now and then. Method and constants: ARM Optimized Routines, `math/exp.c` (MIT).
 */

const TABLE_BITS = 7;
const TABLE_SIZE = 2 ** TABLE_BITS;
const SCALE = 184.6649652337873; // 128 / ln 2
const NEG_LN2_HIGH = -0.005415212348111709;
const NEG_LN2_LOW = -1.2864023111638346e-14;
const C2 = 0.49999999999996786;
const C3 = 0.16666666666665886;
const C4 = 0.0416666808410674;
const C5 = 0.008333335853059549;
/** Adding and subtracting 1.5 · 2^52 rounds a double to the nearest integer, ties to even. */
const ROUND_SHIFT = 6755399441055744;

/** 2^(i/128) as a rounded double, and the relative rest: their product is exact to about 107 bits. */
const { heads, tails } = powerTable();

function powerTable(): { heads: Float64Array; tails: Float64Array } {
  const bits = 200n;
  const one = 1n << bits;
  let root = 2n << bits;
  for (let i = 0; i < TABLE_BITS; i++) root = integerRoot(root << bits);
  const heads = new Float64Array(TABLE_SIZE);
  const tails = new Float64Array(TABLE_SIZE);
  let power = one;
  for (let i = 0; i < TABLE_SIZE; i++) {
    const head = Number(power >> (bits - 80n)) / 2 ** 80;
    const exact = BigInt(head * 2 ** 52) << (bits - 52n);
    heads[i] = head;
    tails[i] = Number(((power - exact) << bits) / exact) / 2 ** Number(bits);
    power = (power * root) >> bits;
  }
  return { heads, tails };
}

function integerRoot(value: bigint): bigint {
  let guess = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (;;) {
    const next = (guess + value / guess) >> 1n;
    if (next >= guess) return guess;
    guess = next;
  }
}

const cell: Float64Array = new Float64Array(1);
const words: Int32Array = new Int32Array(cell.buffer);
const SPLIT = 134217729; // 2^27 + 1

/**
 * a · b + c with one rounding, for finite values far from the ends of the range (Boldo and Melquiond, "Emulation of FMA
 * and correctly rounded sums", 2008).
 */
function fusedMultiplyAdd(a: number, b: number, c: number): number {
  const product = a * b;
  const aBig = a * SPLIT;
  const aHigh = aBig - (aBig - a);
  const aLow = a - aHigh;
  const bBig = b * SPLIT;
  const bHigh = bBig - (bBig - b);
  const bLow = b - bHigh;
  const productRest = aLow * bLow - (product - aHigh * bHigh - aLow * bHigh - aHigh * bLow);
  const small = c + productRest;
  const smallPart = small - c;
  const smallRest = c - (small - smallPart) + (productRest - smallPart);
  const sum = product + small;
  const sumPart = sum - product;
  const sumRest = product - (sum - sumPart) + (small - sumPart);
  const rest = smallRest + sumRest;
  const restPart = rest - smallRest;
  const restRest = smallRest - (rest - restPart) + (sumRest - restPart);
  if (restRest === 0) return sum + rest;
  // Round the rest to odd, so that the last addition cannot round twice.
  cell[0] = rest;
  if ((words[0]! & 1) === 0) {
    if (restRest > 0 === rest > 0) words[0]! |= 1;
    else {
      if (words[0] === 0) words[1]!--;
      words[0]!--;
    }
  }
  return sum + cell[0]!;
}

/** e^x. */
export function exp64(x: number): number {
  const size = Math.abs(x);
  if (size < 2 ** -54) return 1 + x;
  if (!(size < 1024)) return Number.isNaN(x) ? x : x > 0 ? Number.POSITIVE_INFINITY : 0;
  const k = SCALE * x + ROUND_SHIFT - ROUND_SHIFT;
  const r = fusedMultiplyAdd(k, NEG_LN2_LOW, x + k * NEG_LN2_HIGH);
  const i = k & (TABLE_SIZE - 1);
  const exponent = (k - i) / TABLE_SIZE;
  const r2 = r * r;
  const low = fusedMultiplyAdd(r2, fusedMultiplyAdd(r, C3, C2), tails[i]! + r);
  const rest = fusedMultiplyAdd(r2 * r2, fusedMultiplyAdd(r, C5, C4), low);
  const head = heads[i]!;
  // glibc's compiled code does not fuse this one where the result may be below the normal range.
  const power = x <= -512 ? head + head * rest : fusedMultiplyAdd(head, rest, head);
  // Exact but for results below the normal range, whose rounding is not reproduced.
  return power * 2 ** (exponent >> 1) * 2 ** (exponent - (exponent >> 1));
}

/** 1 / (1 + e^−x). */
export function sigmoid64(x: number): number {
  return 1 / (1 + exp64(-x));
}

/** Softmax in place over `count` values from `start`. */
export function softmax64(values: Float64Array, start: number, count: number): void {
  let max = values[start]!;
  for (let i = start + 1; i < start + count; i++) if (values[i]! > max) max = values[i]!;
  let sum = 0;
  for (let i = start; i < start + count; i++) {
    const e = exp64(values[i]! - max);
    values[i] = e;
    sum += e;
  }
  for (let i = start; i < start + count; i++) values[i]! /= sum;
}
