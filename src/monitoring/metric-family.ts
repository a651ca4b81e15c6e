/** What one metric family is, before anything is measured: the row of `docs/metrics.md`. */
export interface MetricFamily<L extends readonly string[] = readonly string[]> {
  /** snake_case with the base unit; counters end in `_total`. */
  readonly name: string;
  readonly type: "counter" | "gauge" | "histogram";
  /** One sentence; says what is counted, and in which unit if the name does not. */
  readonly help: string;
  /** Never entity keys, nor anything else that callers choose. */
  readonly labels: L;
  /** Of histograms: the finite upper bounds, ascending. Empty for others. */
  readonly buckets: readonly number[];
}

export interface CounterFamily<L extends readonly string[] = readonly string[]> extends MetricFamily<L> {
  readonly type: "counter";
}
export interface GaugeFamily<L extends readonly string[] = readonly string[]> extends MetricFamily<L> {
  readonly type: "gauge";
}
export interface HistogramFamily<L extends readonly string[] = readonly string[]> extends MetricFamily<L> {
  readonly type: "histogram";
}

/** One value per label, in the family's order. */
export type LabelValues<L extends readonly string[]> = { readonly [K in keyof L]: string };
