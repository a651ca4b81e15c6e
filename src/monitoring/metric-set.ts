import { type Metric as ClientMetric, Registry } from "@prometheus-io/client";
import { createHistogramCell, type Exemplar, type HistogramCell } from "./histogram-cell.ts";
import { type LabelledChildren, labelledChildren } from "./labelled-children.ts";
import type { CounterFamily, GaugeFamily, HistogramFamily, MetricFamily } from "./metric-family.ts";
import { negotiateFormat } from "./negotiate-format.ts";
import { createNumberCell, type NumberCell } from "./number-cell.ts";
import type { RenderedMetrics } from "./read-side.ts";

/** The metrics of one thread. Families without labels show from the start, with 0. */
export interface MetricSet {
  counter<L extends readonly string[]>(family: CounterFamily<L>): LabelledChildren<L, NumberCell>;
  gauge<L extends readonly string[]>(family: GaugeFamily<L>): LabelledChildren<L, NumberCell>;
  histogram<L extends readonly string[]>(family: HistogramFamily<L>): LabelledChildren<L, HistogramCell>;
  /** Called before each rendering, to set what is only known by asking. */
  onRender(collect: () => void): void;
  /** See {@link negotiateFormat} for what `accept` means. */
  render(accept: string): Promise<RenderedMetrics>;
}

/** One sample in the form that the client library writes out. */
interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels?: Readonly<Record<string, string>>;
  readonly metricName?: string;
  /** Written in OpenMetrics only. */
  readonly exemplar?: {
    readonly labelSet: Readonly<Record<string, string>>;
    readonly value: number;
    readonly timestamp: number;
  };
}

export function createMetricSet(): MetricSet {
  // One registry per format: rendering OpenMetrics takes `_total` from the names of a registry's counters for good.
  const registries = {
    text: new Registry(Registry.PROMETHEUS_CONTENT_TYPE),
    openmetrics: new Registry(Registry.OPENMETRICS_CONTENT_TYPE),
  };
  const collectors: (() => void)[] = [];

  function register(family: MetricFamily, samples: () => readonly Sample[]): void {
    const { type, help } = family;
    for (const format of ["text", "openmetrics"] as const) {
      const name = format === "openmetrics" && type === "counter" ? family.name.replace(/_total$/, "") : family.name;
      const metric = { name, help, type, aggregator: "omit", get: () => ({ name, help, type, values: samples() }) };
      // Registries take anything that has `get`, as `Registry.aggregate` does; the types name the library's classes only.
      registries[format].registerMetric(metric as unknown as ClientMetric);
    }
  }

  function numbers<L extends readonly string[]>(family: MetricFamily<L>): LabelledChildren<L, NumberCell> {
    const children = labelledChildren(family.labels, createNumberCell);
    register(family, () => Array.from(children.entries(), ({ labels, cell }) => ({ labels, value: cell.value })));
    if (family.labels.length === 0) (children as LabelledChildren<readonly [], NumberCell>).child();
    return children;
  }

  return {
    counter: numbers,
    gauge: numbers,
    histogram(family) {
      const bounds = Float64Array.from(family.buckets);
      const children = labelledChildren(family.labels, () => createHistogramCell(bounds));
      register(family, () => Array.from(children.entries()).flatMap((entry) => histogramSamples(family.name, entry)));
      if (family.labels.length === 0) (children as unknown as LabelledChildren<readonly [], HistogramCell>).child();
      return children;
    },
    onRender(collect) {
      collectors.push(collect);
    },
    async render(accept) {
      for (const collect of collectors) collect();
      const registry = registries[negotiateFormat(accept)];
      return { contentType: registry.contentType, body: await registry.metrics() };
    },
  };
}

function exemplarOf({ value, traceId, timestamp }: Exemplar): NonNullable<Sample["exemplar"]> {
  return { labelSet: { trace_id: traceId }, value, timestamp };
}

function histogramSamples(
  name: string,
  { labels: sharedLabels, cell }: { readonly labels: Readonly<Record<string, string>>; readonly cell: HistogramCell },
): Sample[] {
  const samples: Sample[] = [];
  const metricName = `${name}_bucket`;
  let count = 0;
  for (let i = 0; i < cell.counts.length; i++) {
    count += cell.counts[i]!;
    const sample = { labels: { le: cell.bounds[i] ?? "+Inf" }, value: count, metricName, sharedLabels };
    const exemplar = cell.exemplars?.[i];
    samples.push(exemplar === undefined ? sample : { ...sample, exemplar: exemplarOf(exemplar) });
  }
  samples.push({ labels: {}, value: cell.sum, metricName: `${name}_sum`, sharedLabels });
  samples.push({ labels: {}, value: count, metricName: `${name}_count`, sharedLabels });
  return samples;
}
