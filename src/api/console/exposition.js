/**
 * Reads the Prometheus text format, as far as the console needs it. A sample is { name, labels, value }; a reading is
 * all samples of one scrape by name, with the time (ms) at which it was taken.
 */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
const ESCAPED = { n: "\n", '"': '"', "\\": "\\" };

export function readExposition(text, time) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    const found = line.startsWith("#") ? null : LINE.exec(line);
    if (found === null) continue;
    const labels = {};
    for (const [, name, value] of (found[2] ?? "").matchAll(LABEL)) {
      labels[name] = value.replace(/\\(.)/g, (_, character) => ESCAPED[character] ?? character);
    }
    const value = found[3] === "+Inf" ? Number.POSITIVE_INFINITY : Number(found[3]);
    const of = samples.get(found[1]);
    if (of === undefined) samples.set(found[1], [{ labels, value }]);
    else of.push({ labels, value });
  }
  return { time, samples };
}

const fits = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);

/** The sum over all samples with these labels; null if there is none. */
export function sumOf(reading, name, labels = {}) {
  const found = (reading.samples.get(name) ?? []).filter((sample) => fits(sample.labels, labels));
  return found.length === 0 ? null : found.reduce((sum, { value }) => sum + value, 0);
}

/** The largest of the samples with these labels; null if there is none. */
export function largestOf(reading, name, labels = {}) {
  const found = (reading.samples.get(name) ?? []).filter((sample) => fits(sample.labels, labels));
  return found.length === 0 ? null : Math.max(...found.map(({ value }) => value));
}

/** How much a counter grew per second between two readings; null if it is not there. A restart counts from 0. */
export function rateOf(before, after, name, labels = {}) {
  const now = sumOf(after, name, labels);
  if (now === null || after.time <= before.time) return null;
  const then = sumOf(before, name, labels) ?? 0;
  return (now >= then ? now - then : now) / ((after.time - before.time) / 1000);
}

/**
 * The quantile (0 to 1) of what a histogram observed between two readings, interpolated in its bucket as Prometheus
 * does; null if it observed nothing.
 */
export function quantileOf(before, after, name, quantile, labels = {}) {
  const counts = new Map();
  const add = (reading, sign) => {
    for (const { labels: has, value } of reading.samples.get(`${name}_bucket`) ?? []) {
      if (!fits(has, labels)) continue;
      const bound = has.le === "+Inf" ? Number.POSITIVE_INFINITY : Number(has.le);
      counts.set(bound, (counts.get(bound) ?? 0) + sign * value);
    }
  };
  add(after, 1);
  add(before, -1);
  const bounds = [...counts.keys()].sort((a, b) => a - b);
  const total = counts.get(Number.POSITIVE_INFINITY) ?? 0;
  if (!(total > 0)) return null;
  const rank = quantile * total;
  let below = 0;
  let lower = 0;
  for (const bound of bounds) {
    const upTo = counts.get(bound);
    if (upTo >= rank) {
      if (bound === Number.POSITIVE_INFINITY) return lower;
      return upTo === below ? bound : lower + (bound - lower) * ((rank - below) / (upTo - below));
    }
    below = upTo;
    lower = bound;
  }
  return lower;
}
