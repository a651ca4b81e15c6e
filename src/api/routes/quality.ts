import type { FastifyInstance } from "fastify";
import type { QualityColumnReport } from "../../monitoring/read-side.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { qualitySchema } from "../schemas/quality.ts";

/** `GET /v1/quality/{service}`: what this process has seen; with values that were served, so it is for operators. */
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
