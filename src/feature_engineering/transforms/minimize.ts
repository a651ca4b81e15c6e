/** Relative tolerance of both searches, SciPy's. */
const TOLERANCE = 1.48e-8;
const MAX_STEPS = 500;
const GOLDEN = 0.5 * (3 - Math.sqrt(5));

type Objective = (x: number) => number;

interface Rule {
  /** The share of the interval of a golden section step. */
  readonly golden: number;
  /** The shortest step at x. */
  readonly shortest: (x: number) => number;
  /** Whether an equal value counts as an improvement only by this comparison. */
  readonly improves: (next: number, best: number) => boolean;
}

const BOUNDED: Rule = {
  golden: GOLDEN,
  shortest: (x) => Math.sqrt(2.2e-16) * Math.abs(x) + TOLERANCE / 3,
  improves: (next, best) => next <= best,
};
const BRACKETED: Rule = {
  golden: 0.381966,
  shortest: (x) => TOLERANCE * Math.abs(x) + 1e-11,
  improves: (next, best) => !(next > best),
};

/**
 * Where a function is least between two bounds, to about 1e-8: Brent's method, with the constants of SciPy's
 * `fminbound`.
 *
 * Source: R. P. Brent, "Algorithms for Minimization Without Derivatives" (1973), chapter 5.
 */
export function minimizeBetween(objective: Objective, low: number, high: number): number {
  const start = low + GOLDEN * (high - low);
  return brent(objective, low, high, start, objective(start), BOUNDED);
}

/**
 * A least point of a function, found from two starting points that need not enclose it: first a bracket is grown, then
 * Brent's method runs in it, with the constants of SciPy's `brent`. NaN if no bracket is found.
 */
export function minimizeFrom(objective: Objective, first: number, second: number): number {
  const found = bracket(objective, first, second);
  if (found === null) return Number.NaN;
  const [a, b, c, fb] = found;
  return brent(objective, Math.min(a, c), Math.max(a, c), b, fb, BRACKETED);
}

/** Brent's method: a parabola through the three best points, or a golden section where that does not help. */
function brent(objective: Objective, low: number, high: number, start: number, value: number, rule: Rule): number {
  let [a, b] = [low, high];
  let best = start;
  let second = start;
  let third = start;
  let [fBest, fSecond, fThird] = [value, value, value];
  let step = 0;
  let before = 0;
  for (let count = 0; count < MAX_STEPS; count++) {
    const middle = 0.5 * (a + b);
    const shortest = rule.shortest(best);
    const twice = 2 * shortest;
    if (Math.abs(best - middle) <= twice - 0.5 * (b - a)) break;
    let golden = true;
    if (Math.abs(before) > shortest) {
      const r = (best - second) * (fBest - fThird);
      let q = (best - third) * (fBest - fSecond);
      let p = (best - third) * q - (best - second) * r;
      q = 2 * (q - r);
      if (q > 0) p = -p;
      q = Math.abs(q);
      const old = before;
      before = step;
      if (p > q * (a - best) && p < q * (b - best) && Math.abs(p) < Math.abs(0.5 * q * old)) {
        golden = false;
        step = p / q;
        const next = best + step;
        if (next - a < twice || b - next < twice) step = middle >= best ? shortest : -shortest;
      }
    }
    if (golden) {
      before = best >= middle ? a - best : b - best;
      step = rule.golden * before;
    }
    const next = best + (step >= 0 ? Math.max(step, shortest) : Math.min(step, -shortest));
    const fNext = objective(next);
    if (rule.improves(fNext, fBest)) {
      if (next >= best) a = best;
      else b = best;
      [third, second, best] = [second, best, next];
      [fThird, fSecond, fBest] = [fSecond, fBest, fNext];
    } else {
      if (next < best) a = next;
      else b = next;
      if (fNext <= fSecond || second === best) {
        [third, second] = [second, next];
        [fThird, fSecond] = [fSecond, fNext];
      } else if (fNext <= fThird || third === best || third === second) {
        third = next;
        fThird = fNext;
      }
    }
  }
  return best;
}

const GOLD = 1.618034;
const GROW_LIMIT = 110;

/** Three points of which the middle one is lower than the outer ones, and its value; null if none were found. */
function bracket(
  objective: Objective,
  first: number,
  second: number,
): readonly [number, number, number, number] | null {
  let [a, b] = [first, second];
  let [fa, fb] = [objective(a), objective(b)];
  if (fa < fb) [a, b, fa, fb] = [b, a, fb, fa];
  let c = b + GOLD * (b - a);
  let fc = objective(c);
  for (let count = 0; fc < fb; count++) {
    if (count > 1_000) return null;
    const r = (b - a) * (fb - fc);
    const q = (b - c) * (fb - fa);
    const difference = q - r;
    const denominator = Math.abs(difference) < 1e-21 ? 2e-21 : 2 * difference;
    let next = b - ((b - c) * q - (b - a) * r) / denominator;
    const limit = b + GROW_LIMIT * (c - b);
    let fNext: number;
    if ((next - c) * (b - next) > 0) {
      fNext = objective(next);
      if (fNext < fc) {
        [a, b, fa, fb] = [b, next, fb, fNext];
        break;
      }
      if (fNext > fb) {
        [c, fc] = [next, fNext];
        break;
      }
      next = c + GOLD * (c - b);
      fNext = objective(next);
    } else if ((next - limit) * (limit - c) >= 0) {
      next = limit;
      fNext = objective(next);
    } else if ((next - limit) * (c - next) > 0) {
      fNext = objective(next);
      if (fNext < fc) {
        [b, c] = [c, next];
        next = c + GOLD * (c - b);
        [fb, fc] = [fc, fNext];
        fNext = objective(next);
      }
    } else {
      next = c + GOLD * (c - b);
      fNext = objective(next);
    }
    [a, b, c] = [b, c, next];
    [fa, fb, fc] = [fb, fc, fNext];
  }
  const lowest = (fb < fc && fb <= fa) || (fb < fa && fb <= fc);
  return lowest && Number.isFinite(a) && Number.isFinite(b) && Number.isFinite(c) ? [a, b, c, fb] : null;
}
