import type { FastifyInstance } from "fastify";
import { decodeLoggedPrediction } from "../../feature_store/logged-prediction.ts";
import type { PredictionFilter } from "../../feature_store/offline/offline-store.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { readMoment, readName, readObject } from "../request-body.ts";
import { predictionSchemas } from "../schemas/predictions.ts";

const MOST = 10_000;

/** The prediction log: sampled rows as they were read, and whether they were right. */
export function predictionRoutes(app: FastifyInstance, api: ApiContext, admin: AdminGuard): void {
  const readFilter = (raw: unknown): PredictionFilter => {
    const { model, from, limit, before_id: before } = readObject(raw, ["model", "from", "limit", "before_id"]);
    if (model !== undefined) api.models.get(readName(model, "model"));
    const since = readMoment(from, "from");
    return {
      ...(model === undefined ? {} : { model: String(model) }),
      ...(since === undefined ? {} : { from: since }),
      ...(before === undefined ? {} : { beforeId: readCount(before, "before_id", Number.MAX_SAFE_INTEGER) }),
      limit: limit === undefined ? 100 : readCount(limit, "limit", MOST),
    };
  };

  app.get<{ Querystring: Readonly<Record<string, unknown>> }>(
    "/v1/predictions",
    { schema: predictionSchemas.list, onRequest: admin },
    async (request) => {
      const stored = await api.backend.predictions(readFilter(request.query));
      return {
        predictions: stored.map(({ id, model, at, json }) => {
          const { modelVersion, service, asOf, inputs, statuses, views } = decodeLoggedPrediction(json);
          const time = (ms: number): string => new Date(ms).toISOString();
          return {
            id,
            model,
            version: modelVersion,
            service,
            at: time(at),
            as_of: time(asOf),
            inputs,
            statuses,
            checkable: views !== null,
          };
        }),
      };
    },
  );

  app.post("/v1/check-predictions", { schema: predictionSchemas.check, onRequest: admin }, async (request) => {
    const { oldestId: _, ...report } = await api.backend.checkPredictions(readFilter(request.body ?? {}));
    return report;
  });
}

function readCount(value: unknown, path: string, most: number): number {
  const count = Number(value);
  if (!Number.isInteger(count) || count < 1 || count > most)
    throw invalidRequest(path, `a whole number from 1 to ${most}`);
  return count;
}
