/**
 * `expf` and `logf` to the bit as glibc 2.27 and later compute them on x86-64, which XGBoost's wheels call. They work in
 * doubles and round once, so plain doubles reproduce them; `Math.fround(Math.exp(x))` differs in the last place now and
 * then. Method and constants: ARM Optimized Routines, `math/expf.c` and `math/logf.c` (MIT).
 */

const { fround } = Math;

/** 2^(i/32), correctly rounded. */
const EXP2_TABLE: Float64Array = Float64Array.of(
  1.0,
  1.0218971486541166,
  1.0442737824274138,
  1.0671404006768237,
  1.0905077326652577,
  1.1143867425958924,
  1.1387886347566916,
  1.1637248587775775,
  1.189207115002721,
  1.215247359980469,
  1.241857812073484,
  1.2690509571917332,
  1.2968395546510096,
  1.3252366431597413,
  1.3542555469368927,
  1.383909881963832,
  Math.SQRT2,
  1.4451808069770467,
  1.4768261459394993,
  1.5091644275934228,
  1.5422108254079407,
  1.5759808451078865,
  1.6104903319492543,
  1.645755478153965,
  1.681792830507429,
  1.718619298122478,
  1.7562521603732995,
  1.7947090750031072,
  1.8340080864093424,
  1.8741676341103,
  1.9152065613971474,
  1.9571441241754002,
);
/** Adding and subtracting 1.5 · 2^52 rounds a double to the nearest integer, ties to even. */
const ROUND_SHIFT = 6755399441055744;
const EXP_SCALE = 46.16624130844683; // 32 / ln 2
const EXP_C0 = 1.6938359250920212e-6;
const EXP_C1 = 0.00023459809789509004;
const EXP_C2 = 0.021660849396613134;

/** e^x of a float32, as a float32. */
export function exp32(x: number): number {
  // The largest and smallest x whose result is neither infinite nor zero.
  if (x > 88.72283172607422) return Number.POSITIVE_INFINITY;
  if (x < -103.97207641601562) return 0;
  const z = EXP_SCALE * x;
  const k = z + ROUND_SHIFT - ROUND_SHIFT;
  const r = z - k;
  const scale = EXP2_TABLE[k & 31]! * 2 ** (k >> 5);
  return fround(((EXP_C0 * r + EXP_C1) * (r * r) + (EXP_C2 * r + 1)) * scale);
}

/** Pairs of 1/c and ln c, for c near the middle of each of 16 intervals of the significand. */
const LOG_TABLE: Float64Array = Float64Array.of(
  1.398907162146528,
  -0.33569133332882284,
  1.3403141896637998,
  -0.2929040563774074,
  1.286432210124115,
  -0.2518726580937369,
  1.2367150214269895,
  -0.21245868807117255,
  1.1906977166711752,
  -0.17453945183745634,
  1.1479821020556429,
  -0.1380057072319758,
  1.1082251448272158,
  -0.10275976698545139,
  1.0711297413057381,
  -0.06871392447020525,
  1.036437278977283,
  -0.0357891387398228,
  1.0,
  0.0,
  0.9492859795739057,
  0.05204517742929496,
  0.8951049428609004,
  0.11081431298787942,
  0.8476821620351103,
  0.1652495223695143,
  0.8050314851692001,
  0.21687389031699977,
  0.7664671008843108,
  0.2659635028121397,
  0.731428603316328,
  0.3127556664073557,
);
const LOG_A0 = -0.25089342214237154;
const LOG_A1 = 0.333456765744066;
const LOG_A2 = -0.4999997485802103;
/** The bits of the float32 at which the first of the 16 intervals starts, about 0.7. */
const LOG_OFFSET = 0x3f330000;
const SUBNORMAL_SCALE = 8388608; // 2^23

const floatCell: Float32Array = new Float32Array(1);
const bitsCell: Int32Array = new Int32Array(floatCell.buffer);

/** ln x of a float32, as a float32. */
export function log32(x: number): number {
  if (x === 0) return Number.NEGATIVE_INFINITY;
  if (!(x > 0)) return Number.NaN;
  if (x === 1 || x === Number.POSITIVE_INFINITY) return x === 1 ? 0 : x;
  const isSubnormal = x < 1.1754943508222875e-38;
  floatCell[0] = isSubnormal ? x * SUBNORMAL_SCALE : x;
  const bits = isSubnormal ? bitsCell[0]! - (23 << 23) : bitsCell[0]!;
  const offset = (bits - LOG_OFFSET) | 0;
  const interval = (offset >> 19) & 15;
  bitsCell[0] = bits - (offset & (0x1ff << 23));
  const z = floatCell[0]!;
  const r = z * LOG_TABLE[2 * interval]! - 1;
  const y0 = LOG_TABLE[2 * interval + 1]! + (offset >> 23) * Math.LN2;
  const r2 = r * r;
  return fround((LOG_A0 * r2 + (LOG_A1 * r + LOG_A2)) * r2 + (y0 + r));
}

const SIGMOID_LIMIT = fround(88.7);
const SIGMOID_EPSILON = fround(1e-16);

/** The logistic function as XGBoost computes it in float32: exp's argument is bounded, and 1e-16 keeps it off zero. */
export function sigmoid32(x: number): number {
  const denominator = fround(fround(exp32(Math.min(-x, SIGMOID_LIMIT)) + 1) + SIGMOID_EPSILON);
  return fround(1 / denominator);
}

/** The inverse of {@link sigmoid32}: −ln(1/p − 1). */
export function logit32(p: number): number {
  return -log32(fround(fround(1 / p) - 1));
}

/** Softmax in place over `count` float32 values from `start`: exponents in float32, their sum in float64, as XGBoost. */
export function softmax32(values: Float32Array, start: number, count: number): void {
  let max = values[start]!;
  for (let i = start + 1; i < start + count; i++) max = Math.max(max, values[i]!);
  let sum = 0;
  for (let i = start; i < start + count; i++) {
    const e = exp32(fround(values[i]! - max));
    values[i] = e;
    sum += e;
  }
  const divisor = fround(sum);
  for (let i = start; i < start + count; i++) values[i] = values[i]! / divisor;
}
