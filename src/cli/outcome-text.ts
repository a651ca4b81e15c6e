import { table } from "./global-options.ts";

/** An outcome as `GET /v1/quality/{service}` answers it. */
export interface OutcomeLines {
  readonly outcome: string;
  readonly model: string;
  readonly waiting: number;
  readonly degraded: boolean;
  readonly bounds: readonly { readonly metric: string; readonly bound: number; readonly broken: boolean }[];
  readonly windows: readonly (Share & {
    readonly window: string;
    readonly versions: readonly (Share & { readonly version: string })[];
  })[];
}

interface Share {
  readonly matched: number;
  readonly unmatched: number;
  readonly metrics: Readonly<Record<string, { readonly value: number; readonly error: number | null }>>;
}

/** Per outcome a row for each of its windows, and below it for each version if there are several. */
export function outcomeText(outcomes: readonly OutcomeLines[]): readonly string[] {
  return outcomes.flatMap(({ outcome, model, waiting, bounds, windows }) => {
    const metrics = [...new Set(windows.flatMap((window) => Object.keys(window.metrics)))];
    const row = (name: string, share: Share): string[] => [
      name,
      String(share.matched),
      String(share.unmatched),
      ...metrics.map((metric) => estimate(share.metrics[metric])),
    ];
    const rows = windows.flatMap((window) => [
      row(window.window, window),
      ...(window.versions.length < 2 ? [] : window.versions.map((one) => row(`  version ${one.version}`, one))),
    ]);
    const broken = bounds.filter((one) => one.broken).map(({ metric, bound }) => `${metric} beyond its bound ${bound}`);
    const notes = broken.length === 0 ? "" : `; degraded: ${broken.join(", ")}`;
    return [
      "",
      `outcome ${outcome} of ${model}: ${waiting} predictions wait for theirs${notes}`,
      table([["window", "matched", "unmatched", ...metrics], ...rows]),
    ];
  });
}

function estimate(found: Share["metrics"][string] | undefined): string {
  if (found === undefined) return "";
  const { value, error } = found;
  return error === null ? value.toPrecision(4) : `${value.toPrecision(4)} ± ${error.toPrecision(1)}`;
}
