import type { FastifyInstance } from "fastify";
import type { OutcomeReport, OutcomeShare } from "../../feature_store/outcomes/outcome-report.ts";
import type { QualityColumnReport } from "../../monitoring/read-side.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { qualitySchema } from "../schemas/quality.ts";

/** `GET /v1/quality/{service}`: what this process has seen, and what became of predictions; with values that were served, so it is for operators. */
export function qualityRoutes(app: FastifyInstance, api: ApiContext, admin: AdminGuard): void {
  app.get<{ Params: { readonly service: string } }>(
    "/v1/quality/:service",
    { schema: qualitySchema, onRequest: admin },
    async (request) => {
      const { name } = api.features.service(request.params.service).service;
      const { model, rows, features, skew, predictions } = api.quality(name);
      return {
        service: name,
        model,
        rows,
        features: features.map(describe),
        skew,
        outcomes: (await api.backend.outcomes(name)).map(describeOutcome),
        predictions: predictions.map((one) => ({ ...one, outputs: one.outputs.map(describe) })),
      };
    },
  );
}

function describe({ name, baseline, verdict, drifted, driftedSince }: QualityColumnReport): object {
  if (verdict === null) return { name, baseline, rows: 0, drifted };
  return {
    name,
    baseline,
    rows: verdict.rows,
    drifted,
    drifted_since: driftedSince === null ? null : new Date(driftedSince).toISOString(),
    reasons: verdict.reasons,
    null_ratio: verdict.nullRatio,
    out_of_range_ratio: verdict.outOfRangeRatio,
    psi: verdict.psi,
    jensen_shannon: verdict.jensenShannon,
    chi_square: verdict.chiSquare,
    ks: verdict.ks,
  };
}

function describeOutcome(report: OutcomeReport): object {
  const { outcome, model, task, clock, waiting, dropped, completeFrom, windows, bounds } = report;
  return {
    outcome,
    model,
    task,
    clock: new Date(clock).toISOString(),
    waiting,
    dropped,
    complete_from: completeFrom === null ? null : new Date(completeFrom).toISOString(),
    degraded: bounds.some(({ broken }) => broken),
    bounds,
    windows: windows.map((window) => ({
      window: window.name,
      ...describeShare(window),
      calibration: window.quality.calibration.map(({ upTo, ...bin }) => ({ ...bin, up_to: upTo })),
      classes: window.quality.classes.map(({ logLoss, ...one }) => ({ ...one, log_loss: logLoss })),
      versions: window.versions.map((one) => ({ version: one.version, ...describeShare(one) })),
    })),
  };
}

function describeShare({ quality, unmatched, unscored }: OutcomeShare): object {
  const { rows, weight, metrics } = quality;
  return { matched: rows, estimated_rows: weight, unmatched, unscored, metrics };
}
