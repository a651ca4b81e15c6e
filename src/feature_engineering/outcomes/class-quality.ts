import { type OutcomePair, weightedMean } from "./outcome-pair.ts";
import { logLoss, presentMetrics, type QualityMetrics } from "./quality-metric.ts";

export interface ClassQuality {
  readonly name: string;
  /** Rows whose label it is. */
  readonly rows: number;
  /** Of the rows that were predicted to be of the class, the share that was; null of none. */
  readonly precision: number | null;
  /** Of the rows that were of the class, the share that was predicted to be; null of none. */
  readonly recall: number | null;
  /** Of the rows whose label it is; null of none, and without probabilities. */
  readonly logLoss: number | null;
}

/** Of pairs whose answers are a class, or a probability for each of `classes` in their order. */
export function classQuality(
  pairs: readonly OutcomePair[],
  classes: readonly string[],
): { readonly metrics: QualityMetrics; readonly byClass: readonly ClassQuality[] } {
  const rows = pairs.map(({ label, answer, weight }) => ({
    label: String(label),
    answer: classOf(answer, classes),
    loss: lossOf(String(label), answer, classes),
    weight,
  }));
  const hasLoss = rows.length > 0 && rows.every(({ loss }) => loss !== null);
  const names = [...new Set([...classes, ...rows.flatMap(({ label, answer }) => [label, answer])])].sort();
  const share = (of: readonly (typeof rows)[number][], isRight: (row: (typeof rows)[number]) => boolean) =>
    weightedMean(of, (row) => (isRight(row) ? 1 : 0))?.value ?? null;
  return {
    metrics: presentMetrics({
      accuracy: weightedMean(rows, ({ label, answer }) => (label === answer ? 1 : 0)),
      log_loss: hasLoss ? weightedMean(rows, ({ loss }) => loss!) : null,
    }),
    byClass: names.map((name) => {
      const ofClass = rows.filter(({ label }) => label === name);
      const asClass = rows.filter(({ answer }) => answer === name);
      return {
        name,
        rows: ofClass.length,
        precision: share(asClass, ({ label }) => label === name),
        recall: share(ofClass, ({ answer }) => answer === name),
        logLoss: hasLoss ? (weightedMean(ofClass, ({ loss }) => loss!)?.value ?? null) : null,
      };
    }),
  };
}

function classOf(answer: OutcomePair["answer"], classes: readonly string[]): string {
  if (typeof answer !== "object") return String(answer);
  let best = 0;
  for (let i = 1; i < answer.length; i++) if (answer[i]! > answer[best]!) best = i;
  return classes[best] ?? "";
}

function lossOf(label: string, answer: OutcomePair["answer"], classes: readonly string[]): number | null {
  if (typeof answer !== "object") return null;
  return logLoss(answer[classes.indexOf(label)] ?? 0);
}
