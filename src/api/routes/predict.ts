import type { FastifyInstance } from "fastify";
import type { LookupRow } from "../../feature_store/feature-store.ts";
import type { ApiContext } from "../api-context.ts";
import { locateLookup } from "../locate-lookup.ts";
import type { Prediction } from "../models/model-host.ts";
import { type PredictForm, predictForms } from "../predict-forms.ts";
import { largeNumbers, predictNumbers } from "../predict-numbers.ts";
import { type JsonObject, parseBody, readFlag, readMoment, readObject, readRows } from "../request-body.ts";
import { deadlineOf } from "../request-deadlines.ts";
import { predictSchema } from "../schemas/predict.ts";

const KNOWN = ["rows", "as_of", "exact", "include_features"];

interface PredictBody {
  readonly rows: readonly LookupRow[];
  /** The rows as they came; null if they are right. */
  readonly given: readonly JsonObject[] | null;
  readonly asOf: number | undefined;
  readonly exact: boolean;
  readonly withFeatures: boolean;
}

/** `POST /v1/models/{name}/predict`: entity keys and request columns in, predictions out. */
export function predictRoutes(app: FastifyInstance, api: ApiContext): void {
  const formOf = predictForms(api);

  function readBody(bytes: unknown, { read }: PredictForm): PredictBody {
    const rows = Buffer.isBuffer(bytes) ? (read?.(bytes, 0, bytes.length) ?? null) : null;
    if (rows !== null) return { rows, given: null, asOf: undefined, exact: false, withFeatures: false };
    const body = readObject(Buffer.isBuffer(bytes) ? parseBody(bytes.toString()) : bytes, KNOWN);
    const given = readRows(body.rows, api.limits.maxRows);
    return {
      rows: given,
      given,
      asOf: readMoment(body.as_of, "as_of"),
      exact: readFlag(body.exact, "exact"),
      withFeatures: readFlag(body.include_features, "include_features"),
    };
  }

  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("application/json", { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    scope.post<{ Params: { name: string } }>(
      "/v1/models/:name/predict",
      { schema: predictSchema },
      async (request, reply) => {
        const startedAt = performance.now();
        const { model } = api.models.get(request.params.name);
        const form = formOf(model);
        reply.type("application/json; charset=utf-8");
        const numbers = Buffer.isBuffer(request.body) ? largeNumbers(form, request.body, 0) : null;
        if (numbers !== null) {
          return predictNumbers(api, model, form, numbers, { startedAt, ...deadlineOf(request) });
        }
        const { rows, given, asOf, exact, withFeatures } = readBody(request.body, form);
        let prediction: Prediction;
        try {
          prediction = await api.models.predict(
            model.name,
            { rows, exact, ...(asOf === undefined ? {} : { asOf }), ...deadlineOf(request) },
            startedAt,
          );
        } catch (error) {
          throw given === null ? error : locateLookup(error, api.features, model.service.name, given);
        }
        if (prediction.id !== null) reply.header("millrace-prediction-id", prediction.id);
        return form.write(prediction, withFeatures);
      },
    );
  });
}
