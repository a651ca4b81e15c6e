import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";
import { type OutcomeLines, outcomeText } from "../outcome-text.ts";

interface Column {
  readonly name: string;
  readonly baseline: string | null;
  readonly rows: number;
  readonly drifted: boolean;
  readonly reasons?: readonly string[];
  readonly null_ratio?: number;
  readonly out_of_range_ratio?: number;
  readonly psi?: number;
  readonly jensen_shannon?: number;
  readonly chi_square?: { readonly p: number };
  readonly ks?: { readonly statistic: number; readonly p: number } | null;
}
interface Report {
  readonly service: string;
  readonly model: string | null;
  readonly rows: number;
  readonly features: readonly Column[];
  readonly skew: {
    readonly equal: number;
    readonly different: number;
    readonly unknown: number;
    readonly examples: readonly {
      readonly view: string;
      readonly feature: string;
      readonly served: string;
      readonly history: string;
    }[];
  };
  readonly predictions: readonly {
    readonly model: string;
    readonly rows: number;
    readonly outputs: readonly Column[];
  }[];
  readonly outcomes: readonly OutcomeLines[];
}

/** Prints how a service's features compare with their profiles. Exit code 2 if any has drifted or differs from history, or a model is degraded. */
export async function quality(service: string, options: GlobalOptions): Promise<void> {
  await using connection = await connect(await configOf(options));
  const report = await connection.ask<Report>("GET", `/v1/quality/${encodeURIComponent(service)}`);
  const outputs = report.predictions.flatMap(({ model, outputs: columns }) =>
    columns.map((column) => ({ ...column, name: `${model}.${column.name}` })),
  );
  const columns = [...report.features, ...outputs];
  const { equal, different, unknown, examples } = report.skew;
  print(options, report, () =>
    [
      table([HEADER, ...columns.map(row)]),
      ...outcomeText(report.outcomes),
      `logged predictions computed again: ${equal} equal, ${different} different, ${unknown} unknown`,
      ...examples.map((one) => `${one.view}.${one.feature}: served ${one.served}, history ${one.history}`),
    ].join("\n"),
  );
  const isDegraded = report.outcomes.some(({ degraded }) => degraded);
  if (different > 0 || isDegraded || columns.some(({ drifted }) => drifted)) process.exitCode = 2;
}

const HEADER = ["column", "baseline", "rows", "nulls", "out of range", "PSI", "JS", "KS", "KS p", "χ² p", ""];

function row(column: Column): string[] {
  const { name, baseline, rows, drifted, reasons = [], ks } = column;
  return [
    name,
    baseline ?? "collecting",
    String(rows),
    percent(column.null_ratio),
    percent(column.out_of_range_ratio),
    number(column.psi),
    number(column.jensen_shannon),
    number(ks?.statistic),
    number(ks?.p),
    number(column.chi_square?.p),
    drifted ? `drifted: ${reasons.join(", ")}` : "",
  ];
}

function percent(share: number | undefined): string {
  return share === undefined ? "" : `${(share * 100).toFixed(1)}%`;
}

function number(value: number | undefined): string {
  if (value === undefined) return "";
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toFixed(3);
}
