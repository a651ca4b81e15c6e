import { PREDICTED_ROWS_CHANNEL, type PredictedRowsEvent } from "../api/channels.ts";
import { SKEW_CHANNEL, type SkewEvent } from "../feature_store/channels.ts";
import * as families from "./families/quality.ts";
import type { LabelledChildren } from "./labelled-children.ts";
import type { MetricSet } from "./metric-set.ts";
import type { NumberCell } from "./number-cell.ts";
import { type ColumnQuality, type RowQuality, rowQuality } from "./quality/row-quality.ts";
import { type RowSampler, rowSampler } from "./quality/row-sampler.ts";
import type { QualityReader, QualityReport, SkewReport } from "./read-side.ts";
import { subscribe } from "./subscribe.ts";

/** Of one service; the model whose rows are looked at, since each version's transforms and training set are its own. */
interface ServiceState {
  readonly model: string;
  readonly columns: PredictedRowsEvent["columns"];
  readonly profile: PredictedRowsEvent["profile"];
  readonly quality: RowQuality;
}

interface ModelState {
  readonly service: string;
  readonly version: string;
  readonly outputs: PredictedRowsEvent["outputs"];
  readonly sampler: RowSampler;
  readonly quality: RowQuality;
}

export interface QualityMetrics extends QualityReader {
  end(): void;
}

/**
 * Compares a sample of what models read and answer with what they were trained on. `now`: epoch milliseconds. Of several
 * models that read one service, the features of the first one that has a profile are looked at, else of the first one.
 */
export function qualityMetrics(set: MetricSet, now: () => number): QualityMetrics {
  const services = new Map<string, ServiceState>();
  const models = new Map<string, ModelState>();
  const featureRows = set.counter(families.featureQualityRows);
  const predictionRows = set.counter(families.predictionQualityRows);

  function serviceOf(event: PredictedRowsEvent): ServiceState | null {
    const known = services.get(event.service);
    const takesOver =
      known === undefined ||
      (known.model === event.model
        ? known.columns !== event.columns || known.profile !== event.profile
        : known.profile === null && event.profile !== null);
    if (!takesOver) return known.model === event.model ? known : null;
    const { model, columns, profile } = event;
    const state: ServiceState = { model, columns, profile, quality: rowQuality(columns, profile) };
    if (known !== undefined) forget(event.service, known.quality);
    services.set(event.service, state);
    return state;
  }

  function modelOf(event: PredictedRowsEvent): ModelState {
    const known = models.get(event.model);
    if (known !== undefined && known.version === event.version && known.outputs === event.outputs) return known;
    const { service, version, outputs } = event;
    if (known !== undefined) forgetOutputs(event.model, known.quality);
    const sampler = known?.sampler ?? rowSampler();
    const state: ModelState = { service, version, outputs, sampler, quality: rowQuality(outputs, null) };
    models.set(event.model, state);
    return state;
  }

  const skews = new Map<string, SkewReport>();
  const skewRows = set.counter(families.skewRows);
  const endSkew = subscribe<SkewEvent>(SKEW_CHANNEL, ({ service, equal, different, unknown, examples }) => {
    skewRows.child(service, "equal").value += equal;
    skewRows.child(service, "different").value += different;
    skewRows.child(service, "unknown").value += unknown;
    const known = skews.get(service) ?? NO_SKEW;
    skews.set(service, {
      equal: known.equal + equal,
      different: known.different + different,
      unknown: known.unknown + unknown,
      examples: [...examples, ...known.examples].slice(0, SKEW_EXAMPLES),
    });
  });

  const endRows = subscribe<PredictedRowsEvent>(PREDICTED_ROWS_CHANNEL, (event) => {
    const model = modelOf(event);
    const taken = model.sampler.take(event.rows, performance.now());
    if (taken === 0) return;
    const at = now();
    const service = serviceOf(event);
    const step = event.rows / taken;
    for (let i = 0; i < taken; i++) {
      const row = Math.floor(i * step);
      service?.quality.add((column) => event.feature(row, column), at);
      model.quality.add((output) => event.answer(row, output), at);
    }
    predictionRows.child(event.model).value += taken;
    if (service !== null) featureRows.child(event.service).value += taken;
  });

  const featureScore = set.gauge(families.featureDriftScore);
  const featureDrift = set.gauge(families.featureDriftDetected);
  const nulls = set.gauge(families.featureNullRatio);
  const outOfRange = set.gauge(families.featureOutOfRangeRatio);
  const predictionScore = set.gauge(families.predictionDriftScore);
  const predictionDrift = set.gauge(families.predictionDriftDetected);

  set.onRender(() => {
    for (const [service, { quality }] of services) {
      for (const column of quality.columns) {
        if (column.verdict === null) continue;
        nulls.child(service, column.name).value = column.verdict.nullRatio;
        outOfRange.child(service, column.name).value = column.verdict.outOfRangeRatio;
        featureDrift.child(service, column.name).value = Number(column.drifted);
        showScores(featureScore, service, column);
      }
    }
    for (const [model, { quality }] of models) {
      for (const column of quality.columns) {
        if (column.verdict === null) continue;
        predictionDrift.child(model, column.name).value = Number(column.drifted);
        showScores(predictionScore, model, column);
      }
    }
  });

  function forget(service: string, { columns }: RowQuality): void {
    for (const { name } of columns) {
      nulls.remove(service, name);
      outOfRange.remove(service, name);
      featureDrift.remove(service, name);
      for (const statistic of STATISTICS) featureScore.remove(service, name, statistic);
    }
  }

  function forgetOutputs(model: string, { columns }: RowQuality): void {
    for (const { name } of columns) {
      predictionDrift.remove(model, name);
      for (const statistic of STATISTICS) predictionScore.remove(model, name, statistic);
    }
  }

  return {
    end() {
      endRows();
      endSkew();
    },
    quality(service): QualityReport {
      const state = services.get(service);
      return {
        model: state?.model ?? null,
        rows: state?.quality.rows ?? 0,
        features: state?.quality.columns ?? [],
        skew: skews.get(service) ?? NO_SKEW,
        predictions: [...models]
          .filter(([, model]) => model.service === service)
          .map(([name, { version, quality }]) => ({
            model: name,
            version,
            rows: quality.rows,
            outputs: quality.columns,
          })),
      };
    },
  };
}

export const NO_SKEW: SkewReport = { equal: 0, different: 0, unknown: 0, examples: [] };
/** Differing values of a service that are kept. */
const SKEW_EXAMPLES = 20;
const STATISTICS = ["psi", "jensen_shannon", "chi_square", "ks"] as const;

function showScores(
  scores: LabelledChildren<readonly [string, string, string], NumberCell>,
  of: string,
  { name, verdict }: ColumnQuality,
): void {
  if (verdict === null || verdict.rows < 100) return;
  scores.child(of, name, "psi").value = verdict.psi;
  scores.child(of, name, "jensen_shannon").value = verdict.jensenShannon;
  scores.child(of, name, "chi_square").value = verdict.chiSquare.statistic;
  if (verdict.ks !== null) scores.child(of, name, "ks").value = verdict.ks.statistic;
}
