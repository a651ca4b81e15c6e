import { OUTCOME_CHANNEL, type OutcomeEvent } from "../feature_store/channels.ts";
import * as families from "./families/quality.ts";
import type { MetricSet } from "./metric-set.ts";
import { subscribe } from "./subscribe.ts";

/** Shows the last report of each outcome. Returns what ends that. */
export function outcomeMetrics(set: MetricSet): () => void {
  const scores = set.gauge(families.modelQualityScore);
  const rows = set.gauge(families.modelQualityRows);
  const waiting = set.gauge(families.modelQualityWaiting);
  const degraded = set.gauge(families.modelQualityDegraded);
  const bins = set.gauge(families.modelCalibration);
  /** What takes away the series that an outcome's last report made. */
  const shown = new Map<string, (() => void)[]>();

  return subscribe<OutcomeEvent>(OUTCOME_CHANNEL, (report) => {
    const { model, outcome } = report;
    for (const remove of shown.get(outcome) ?? []) remove();
    const removals: (() => void)[] = [];
    shown.set(outcome, removals);
    waiting.child(model, outcome).value = report.waiting;
    removals.push(() => waiting.remove(model, outcome));
    for (const window of report.windows) {
      for (const share of [{ ...window, version: "all" }, ...window.versions]) {
        const { version, quality } = share;
        for (const [metric, { value }] of Object.entries(quality.metrics)) {
          scores.child(model, outcome, version, window.name, metric).value = value;
          removals.push(() => scores.remove(model, outcome, version, window.name, metric));
        }
        for (const [state, count] of [
          ["matched", quality.rows],
          ["unmatched", share.unmatched],
          ["unscored", share.unscored],
        ] as const) {
          rows.child(model, outcome, version, window.name, state).value = count;
          removals.push(() => rows.remove(model, outcome, version, window.name, state));
        }
      }
      for (const { upTo, predicted, observed } of window.quality.calibration) {
        for (const [side, value] of [
          ["predicted", predicted],
          ["observed", observed],
        ] as const) {
          if (value === null) continue;
          bins.child(model, outcome, window.name, String(upTo), side).value = value;
          removals.push(() => bins.remove(model, outcome, window.name, String(upTo), side));
        }
      }
    }
    for (const { metric, broken } of report.bounds) {
      degraded.child(model, outcome, metric).value = Number(broken);
      removals.push(() => degraded.remove(model, outcome, metric));
    }
  });
}
