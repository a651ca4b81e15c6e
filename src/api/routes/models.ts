import type { FastifyInstance } from "fastify";
import { jsonRow, jsonValue } from "../json-values.ts";
import type { ModelVersions } from "../models/model-versions.ts";
import type { RouteContext } from "../server.ts";
import { requestTime, rowsSchema, timeSchema } from "./request-time.ts";

interface PredictBody {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly as_of?: string | number;
  readonly exact?: boolean;
  readonly include_features?: boolean;
}

const predictBody = {
  type: "object",
  required: ["rows"],
  additionalProperties: false,
  properties: {
    rows: rowsSchema,
    as_of: { ...timeSchema, description: "Read features as of this moment (default: now)" },
    exact: { type: "boolean", description: "Refuse if an event at or after as_of was applied" },
    include_features: { type: "boolean", description: "Also answer what the model read" },
  },
} as const;

const params = { type: "object", properties: { name: { type: "string" } } } as const;

/** Predictions, and what is known of models. */
export function modelRoutes(app: FastifyInstance, context: RouteContext): void {
  const { models } = context;

  app.post<{ Params: { name: string }; Body: PredictBody }>(
    "/v1/models/:name/predict",
    {
      schema: {
        tags: ["models"],
        summary: "Predict one row or many; features are looked up.",
        params,
        body: predictBody,
      },
    },
    async (request, reply) => {
      const { rows, as_of, exact, include_features } = request.body;
      context.checkRows(rows.length);
      const asOf = requestTime("as_of", as_of);
      const { name } = request.params;
      const prediction = await models.predict(name, {
        rows,
        ...(asOf === undefined ? {} : { asOf }),
        ...(exact === undefined ? {} : { exact }),
      });
      const { output } = models.get(name).model;
      const answer: Record<string, unknown> = {
        model: name,
        version: prediction.version,
        as_of: prediction.asOf === null ? null : new Date(prediction.asOf).toISOString(),
        predictions: prediction.predictions.map((row) =>
          Object.fromEntries(output.map((column) => [column.name, jsonValue(row[column.name] ?? null, column.type)])),
        ),
      };
      if (prediction.fallback) answer.fallback = true;
      if (prediction.headOverlap.includes(true)) answer.head_overlap = prediction.headOverlap;
      const { features } = prediction;
      if (include_features === true && features !== null) {
        answer.features = features.rows.map((row) => jsonRow(features.columns, row));
        answer.statuses = features.statuses.map((row) =>
          Object.fromEntries(row.map((status, i) => [features.columns[i]!.name, status])),
        );
      }
      return reply.type("application/json; charset=utf-8").send(JSON.stringify(answer));
    },
  );

  app.get(
    "/v1/models",
    { schema: { tags: ["models"], summary: "Every declared model with its versions." } },
    async () => ({
      models: models.list().map(describe),
    }),
  );
  app.get<{ Params: { name: string } }>(
    "/v1/models/:name",
    { schema: { tags: ["models"], summary: "One model with its versions.", params } },
    async (request) => describe(models.get(request.params.name)),
  );
  app.post<{ Params: { name: string } }>(
    "/v1/models/:name/rollback",
    { schema: { tags: ["models"], summary: "Serve the previous version again (operator).", params } },
    async (request) => {
      context.admin(request);
      await models.rollback(request.params.name);
      return describe(models.get(request.params.name));
    },
  );
}

function describe(versions: ModelVersions): object {
  const { model, serving, previous, known, lastFailure, pinned } = versions;
  return {
    name: model.name,
    description: model.description,
    service: model.service.name,
    inputs: model.service.lookup.map(({ name, type, role }) => ({ name, type: type.kind, role })),
    outputs: model.output.map(({ name, type }) => ({ name, type: type.kind })),
    status: serving === null ? "unavailable" : "serving",
    serving: serving && {
      version: serving.version.version,
      flavor: serving.flavor,
      loaded_at: new Date(serving.loadedAt).toISOString(),
      load_seconds: serving.loadSeconds,
      size_bytes: serving.sizeBytes,
      in_memory: serving.resident !== null,
    },
    previous: previous?.version.version ?? null,
    pinned,
    versions: known.map(({ version }) => version),
    last_failure: lastFailure && { ...lastFailure, at: new Date(lastFailure.at).toISOString() },
  };
}
