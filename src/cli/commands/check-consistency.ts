import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";

interface Report {
  readonly view: string;
  readonly entities: number;
  readonly values: number;
  readonly mismatches: number;
  readonly skipped: number;
  readonly examples: readonly { readonly feature: string; readonly online: string; readonly history: string }[];
}

/** Exit code 2 if anything differs. */
export async function checkConsistency(
  view: string | undefined,
  options: GlobalOptions & { readonly sample: number; readonly predictions?: boolean; readonly model?: string },
): Promise<void> {
  if (options.predictions === true) return checkPredictions(options);
  await using connection = await connect(await configOf(options));
  const { reports } = await connection.ask<{ reports: readonly Report[] }>("POST", "/v1/check-consistency", {
    sample: options.sample,
    ...(view === undefined ? {} : { view }),
  });
  print(options, { reports }, () =>
    [
      table([
        ["view", "entities", "values", "mismatches", "skipped"],
        ...reports.map((r) => [r.view, String(r.entities), String(r.values), String(r.mismatches), String(r.skipped)]),
      ]),
      ...reports.flatMap((r) =>
        r.examples.map((e) => `${r.view}.${e.feature}: online ${e.online}, history ${e.history}`),
      ),
    ].join("\n"),
  );
  if (reports.some((report) => report.mismatches > 0)) process.exitCode = 2;
}

interface PredictionReport {
  readonly predictions: number;
  readonly values: number;
  readonly mismatches: number;
  readonly skipped: number;
  readonly examples: readonly {
    readonly view: string;
    readonly feature: string;
    readonly served: string;
    readonly history: string;
  }[];
}

async function checkPredictions(
  options: GlobalOptions & { readonly sample: number; readonly model?: string },
): Promise<void> {
  await using connection = await connect(await configOf(options));
  const report = await connection.ask<PredictionReport>("POST", "/v1/check-predictions", {
    limit: options.sample,
    ...(options.model === undefined ? {} : { model: options.model }),
  });
  const { predictions, values, mismatches, skipped, examples } = report;
  print(options, report, () =>
    [
      `${predictions} predictions, ${values} values, ${mismatches} mismatches, ${skipped} skipped`,
      ...examples.map((one) => `${one.view}.${one.feature}: served ${one.served}, history ${one.history}`),
    ].join("\n"),
  );
  if (mismatches > 0) process.exitCode = 2;
}
