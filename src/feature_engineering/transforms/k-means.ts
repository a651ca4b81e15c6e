import { evenlySpaced } from "./percentile.ts";
import type { SortedSample } from "./sample.ts";

/** scikit-learn's defaults: it stops when no value changes its cluster, or the centers moved by less than this. */
const MAX_STEPS = 300;
const TOLERANCE = 1e-4;

/**
 * The centers of Lloyd's k-means over a sample of at least two distinct values, in increasing order. It starts at the
 * middles of `k` bins of equal width; a cluster that runs empty moves to the value farthest from its center. Where there
 * are no more than `k` distinct values, they are the centers.
 */
export function kMeans(sample: SortedSample, k: number): number[] {
  const { n, values, counts } = sample;
  const count = (index: number): number => (counts === null ? 1 : counts[index]!);
  const distinct = values.filter((value, index) => index === 0 || value !== values[index - 1]);
  if (distinct.length <= k) return [...distinct];
  const edges = evenlySpaced(sample.at(0), sample.at(n - 1), k + 1);
  let mean = 0;
  for (let i = 0; i < values.length; i++) mean += count(i) * values[i]!;
  mean /= n;
  // Around the mean the squares lose least.
  const points = values.map((value) => value - mean);
  let variance = 0;
  for (let i = 0; i < points.length; i++) variance += count(i) * points[i]! * points[i]!;
  const tolerance = (variance / n) * TOLERANCE;
  let centers = edges.slice(1).map((edge, index) => (edge + edges[index]!) * 0.5 - mean);
  let labels = new Int32Array(points.length).fill(-1);
  for (let step = 0; step < MAX_STEPS; step++) {
    const assigned = assign(points, centers);
    const next = meansOf(points, count, assigned, centers);
    const same = assigned.every((label, index) => label === labels[index]);
    let shift = 0;
    for (let j = 0; j < k; j++) shift += (next[j]! - centers[j]!) ** 2;
    centers = next;
    labels = assigned;
    if (same || shift <= tolerance) break;
  }
  return centers.map((center) => center + mean).sort((a, b) => a - b);
}

/** The nearest center of each point; of two equally near ones the first. Points increase, so the nearest does too. */
function assign(points: Float64Array, centers: readonly number[]): Int32Array<ArrayBuffer> {
  const sorted = centers.map((_, index) => index).sort((a, b) => centers[a]! - centers[b]! || a - b);
  const order = sorted.filter((j, index) => index === 0 || centers[j] !== centers[sorted[index - 1]!]);
  const distance = (x: number, j: number): number => centers[j]! * centers[j]! - 2 * x * centers[j]!;
  const labels = new Int32Array(points.length);
  let at = 0;
  for (let i = 0; i < points.length; i++) {
    const x = points[i]!;
    while (at + 1 < order.length) {
      const here = order[at]!;
      const next = order[at + 1]!;
      const difference = distance(x, next) - distance(x, here);
      if (difference < 0 || (difference === 0 && next < here)) at++;
      else break;
    }
    labels[i] = order[at]!;
  }
  return labels;
}

function meansOf(
  points: Float64Array,
  count: (index: number) => number,
  labels: Int32Array,
  centers: readonly number[],
): number[] {
  const sums = centers.map(() => 0);
  const weights = centers.map(() => 0);
  for (let i = 0; i < points.length; i++) {
    const label = labels[i]!;
    sums[label]! += count(i) * points[i]!;
    weights[label]! += count(i);
  }
  const empty = centers.map((_, j) => j).filter((j) => weights[j] === 0);
  if (empty.length > 0) fillEmpty(points, count, labels, centers, empty, sums, weights);
  // What still is empty joins the largest cluster, where scikit-learn puts it: at its sum, if that has no mean yet.
  const largest = weights.indexOf(Math.max(...weights));
  for (let j = 0; j < sums.length; j++) sums[j] = weights[j]! > 0 ? sums[j]! * (1 / weights[j]!) : sums[largest]!;
  return sums;
}

/** Moves the empty clusters to the points that are farthest from their centers. */
function fillEmpty(
  points: Float64Array,
  count: (index: number) => number,
  labels: Int32Array,
  centers: readonly number[],
  empty: readonly number[],
  sums: number[],
  weights: number[],
): void {
  const distance = (i: number): number => (points[i]! - centers[labels[i]!]!) ** 2;
  // The least and the greatest value are equally far, half a bin, from where their clusters start. As in scikit-learn
  // the last bits decide, and where they are equal the cluster that is larger, so that no other runs empty.
  const farther = (a: number, b: number): number =>
    distance(b) - distance(a) || weights[labels[b]!]! - weights[labels[a]!]! || b - a;
  let farthest: number[] = [];
  for (let i = 0; i < points.length; i++) {
    if (farthest.length === empty.length && farther(farthest[farthest.length - 1]!, i) < 0) continue;
    for (let copy = 0; copy < Math.min(count(i), empty.length); copy++) farthest.push(i);
    farthest = farthest.sort(farther).slice(0, empty.length);
  }
  if (distance(farthest[0]!) === 0) return;
  for (const [place, j] of empty.entries()) {
    const i = farthest[place]!;
    const from = labels[i]!;
    sums[from]! -= points[i]!;
    weights[from]!--;
    sums[j] = points[i]!;
    weights[j] = 1;
  }
}
