/** The counts of one histogram series. */
export interface HistogramCell {
  /** Finite upper bounds, ascending. */
  readonly bounds: Float64Array;
  /** Per bound how many values were at most it and above the one before; the last counts those above all bounds. */
  readonly counts: Float64Array;
  sum: number;
  /** Per count the newest value of a request that was traced; null until there is one. */
  exemplars: (Exemplar | undefined)[] | null;
}

/** A value of a histogram, and the trace in which it can be looked at. */
export interface Exemplar {
  readonly value: number;
  readonly traceId: string;
  /** Epoch seconds. */
  readonly timestamp: number;
}

export function createHistogramCell(bounds: Float64Array): HistogramCell {
  return { bounds, counts: new Float64Array(bounds.length + 1), sum: 0, exemplars: null };
}

/**
 * Counts one value; NaN is ignored. `traceId` makes it the exemplar of its bucket.
 *
 * The client library's histogram looks through the bounds one by one and then finds the count under the bound's
 * decimal text: some ten times slower (benchmarks/monitoring.ts).
 */
export function observe(cell: HistogramCell, value: number, traceId: string | null = null): void {
  if (Number.isNaN(value)) return;
  const { bounds } = cell;
  let low = 0;
  let high = bounds.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (value <= bounds[middle]!) high = middle;
    else low = middle + 1;
  }
  cell.counts[low]!++;
  cell.sum += value;
  if (traceId === null) return;
  cell.exemplars ??= new Array<Exemplar | undefined>(cell.counts.length).fill(undefined);
  cell.exemplars[low] = { value, traceId, timestamp: Date.now() / 1_000 };
}
