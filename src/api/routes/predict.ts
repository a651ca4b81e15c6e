import type { FastifyInstance } from "fastify";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ApiContext } from "../api-context.ts";
import { locateLookup } from "../locate-lookup.ts";
import type { Prediction } from "../models/model-host.ts";
import { compilePredictionJson, type PredictionWriter } from "../prediction-json.ts";
import { readFlag, readMoment, readObject, readRows } from "../request-body.ts";
import { deadlineOf } from "../request-deadlines.ts";
import { predictSchema } from "../schemas/predict.ts";

const KNOWN = ["rows", "as_of", "exact", "include_features"];

/** `POST /v1/models/{name}/predict`: entity keys and request columns in, predictions out. */
export function predictRoutes(app: FastifyInstance, api: ApiContext): void {
  /** Of each declaration of a model: they may be replaced while the server runs. */
  const writers = new WeakMap<ModelMeta, PredictionWriter>();

  function writerOf(model: ModelMeta): PredictionWriter {
    let writer = writers.get(model);
    if (writer === undefined) {
      writer = compilePredictionJson(model, api.features.service(model.service.name).row.columns);
      writers.set(model, writer);
    }
    return writer;
  }

  app.post<{ Params: { name: string } }>(
    "/v1/models/:name/predict",
    { schema: predictSchema },
    async (request, reply) => {
      const startedAt = performance.now();
      const { model } = api.models.get(request.params.name);
      const body = readObject(request.body, KNOWN);
      const rows = readRows(body.rows, api.limits.maxRows);
      const asOf = readMoment(body.as_of, "as_of");
      const exact = readFlag(body.exact, "exact");
      const withFeatures = readFlag(body.include_features, "include_features");
      let prediction: Prediction;
      try {
        prediction = await api.models.predict(
          model.name,
          { rows, exact, ...(asOf === undefined ? {} : { asOf }), ...deadlineOf(request) },
          startedAt,
        );
      } catch (error) {
        throw locateLookup(error, api.features, model.service.name, rows);
      }
      if (prediction.id !== null) reply.header("millrace-prediction-id", prediction.id);
      reply.type("application/json; charset=utf-8");
      return writerOf(model)(prediction, withFeatures);
    },
  );
}
