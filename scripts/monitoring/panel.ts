/** One query of a panel. */
export interface PanelQuery {
  readonly expr: string;
  /** As Grafana writes it: `{{label}}` stands for a label's value. */
  readonly legend: string;
}

/** What one panel shows. */
export interface PanelSpec {
  readonly title: string;
  /** What is good, and what to do if it is not. */
  readonly about: string;
  readonly kind: "timeseries" | "stat" | "table";
  /** Of Grafana: `s`, `reqps`, `percentunit`, `bytes`, `short`, `dateTimeFromNow`, … */
  readonly unit: string;
  readonly queries: readonly PanelQuery[];
  /** Shows the traces of single requests on the curve. */
  readonly hasExemplars?: boolean;
  /** Of 24. */
  readonly width: number;
}

export interface DashboardSpec {
  /** Of the file and in Grafana's addresses. */
  readonly name: string;
  readonly title: string;
  readonly rows: readonly { readonly title: string; readonly panels: readonly PanelSpec[] }[];
}

export function series(
  title: string,
  unit: string,
  about: string,
  queries: readonly (readonly [expr: string, legend: string])[],
  more: { readonly width?: number; readonly hasExemplars?: boolean } = {},
): PanelSpec {
  const { width = 12, hasExemplars = false } = more;
  return {
    title,
    unit,
    about,
    kind: "timeseries",
    width,
    hasExemplars,
    queries: queries.map(([expr, legend]) => ({ expr, legend })),
  };
}

export function stat(title: string, unit: string, about: string, expr: string, legend = "", width = 4): PanelSpec {
  return { title, unit, about, kind: "stat", width, queries: [{ expr, legend }] };
}

export function table(title: string, unit: string, about: string, expr: string, legend: string): PanelSpec {
  return { title, unit, about, kind: "table", width: 12, queries: [{ expr, legend }] };
}

/** Three quantiles of a histogram, per value of a label or of none. */
export function quantiles(metric: string, label: string | null, where = ""): readonly (readonly [string, string])[] {
  const by = label === null ? "le" : `${label}, le`;
  return [0.5, 0.95, 0.99].map((q) => [
    `histogram_quantile(${q}, sum by (${by}) (rate(${metric}_bucket${where === "" ? "" : `{${where}}`}[$__rate_interval])))`,
    `${label === null ? "" : `{{${label}}} `}P${q * 100}`,
  ]);
}

/** A counter's rate per second, by labels. */
export function rate(metric: string, ...by: readonly string[]): string {
  const sum = by.length === 0 ? "sum" : `sum by (${by.join(", ")})`;
  return `${sum} (rate(${metric}[$__rate_interval]))`;
}
