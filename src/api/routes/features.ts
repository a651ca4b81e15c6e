import type { FastifyInstance } from "fastify";
import { millraceError } from "../../definitions/errors.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../../definitions/feature-view.ts";
import { serviceHash, viewVersion } from "../../feature_engineering/plan/plan-hash.ts";
import { serviceColumns } from "../../feature_engineering/plan/service-columns.ts";
import { jsonReplacer, jsonValue } from "../json-values.ts";
import type { RouteContext } from "../server.ts";
import { requestTime, rowsSchema, timeSchema } from "./request-time.ts";

interface OnlineBody {
  readonly service: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly as_of?: string | number;
  readonly exact?: boolean;
  readonly model?: string;
}
interface HistoricalBody {
  readonly service: string;
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly knowledge?: "event_time" | "ingested_at";
  readonly format?: "json" | "parquet" | "csv";
}

const params = { type: "object", properties: { name: { type: "string" } } } as const;

/** Features of now and of the past, and what is declared. */
export function featureRoutes(app: FastifyInstance, context: RouteContext): void {
  const { features, backend, declarations, models } = context;

  app.post<{ Body: OnlineBody }>(
    "/v1/features/online",
    {
      schema: {
        tags: ["features"],
        summary: "Features of a service as they are now.",
        body: {
          type: "object",
          required: ["service", "rows"],
          additionalProperties: false,
          properties: {
            service: { type: "string" },
            rows: rowsSchema,
            as_of: { ...timeSchema, description: "Read as of this moment (default: now)" },
            exact: { type: "boolean", description: "Refuse if an event at or after as_of was applied" },
            model: { type: "string", description: "Apply the fitted transforms of this model's serving version" },
          },
        },
      },
    },
    async (request, reply) => {
      const { service, rows, as_of, exact, model } = request.body;
      context.checkRows(rows.length);
      const asOf = requestTime("as_of", as_of);
      const read = await features.getOnlineFeatures(service, {
        rows,
        ...(asOf === undefined ? {} : { asOf }),
        ...(exact === undefined ? {} : { exact }),
        ...(model === undefined ? {} : { fitted: await models.fitted(model) }),
      });
      const answer = {
        service,
        as_of: new Date(read.asOf).toISOString(),
        columns: read.columns.map((column) => column.name),
        rows: read.rows.map((row) => row.map((value, i) => jsonValue(value, read.columns[i]!.type))),
        statuses: read.statuses,
        ...(read.headOverlap.includes(true) ? { head_overlap: read.headOverlap } : {}),
      };
      return reply.type("application/json; charset=utf-8").send(JSON.stringify(answer));
    },
  );

  app.post<{ Body: HistoricalBody }>(
    "/v1/features/historical",
    {
      schema: {
        tags: ["features"],
        summary: "Features as they were at each row's event_timestamp: a training set.",
        description:
          "As Parquet or CSV the body is the file, and the header millrace-manifest holds millrace.json in base64url.",
        body: {
          type: "object",
          required: ["service", "rows"],
          additionalProperties: false,
          properties: {
            service: { type: "string" },
            rows: {
              ...rowsSchema,
              description: "Lookup columns, event_timestamp, and what else is to be carried along",
            },
            knowledge: {
              enum: ["event_time", "ingested_at"],
              description: "Count what had happened (default), or only what had also arrived",
            },
            format: { enum: ["json", "parquet", "csv"] },
          },
        },
      },
    },
    async (request, reply) => {
      const { service, rows, knowledge, format = "json" } = request.body;
      context.checkRows(rows.length);
      features.service(service);
      const set = await backend.trainingSet(
        service,
        { rows, ...(knowledge === undefined ? {} : { knowledge }) },
        format === "json" ? "rows" : format,
      );
      if (set.bytes !== null) {
        const manifest = Buffer.from(JSON.stringify(set.manifest)).toString("base64url");
        if (manifest.length < 8_000) void reply.header("millrace-manifest", manifest);
        return reply
          .type(format === "csv" ? "text/csv; charset=utf-8" : "application/vnd.apache.parquet")
          .send(Buffer.from(set.bytes));
      }
      const times = new Set(set.columns.flatMap(({ kind }, i) => (kind === "timestamp" ? [i] : [])));
      const answer = {
        service,
        columns: set.columns.map((column) => column.name),
        rows: set.rows!.map((row) =>
          row.map((value, i) => (times.has(i) && typeof value === "number" ? new Date(value).toISOString() : value)),
        ),
        millrace: set.manifest,
      };
      return reply.type("application/json; charset=utf-8").send(JSON.stringify(answer, jsonReplacer));
    },
  );

  app.get(
    "/v1/features/services",
    { schema: { tags: ["features"], summary: "Every declared feature service." } },
    async () => ({
      services: declarations.services.map(describeService),
    }),
  );
  app.get<{ Params: { name: string } }>(
    "/v1/features/services/:name",
    { schema: { tags: ["features"], summary: "One feature service.", params } },
    async (request) => describeService(features.service(request.params.name).service),
  );
  app.get(
    "/v1/features/views",
    { schema: { tags: ["features"], summary: "Every declared feature view." } },
    async () => ({
      views: declarations.views.map(describeView),
    }),
  );
  app.get<{ Params: { name: string } }>(
    "/v1/features/views/:name",
    { schema: { tags: ["features"], summary: "One feature view.", params } },
    async (request) => {
      const view = declarations.views.find((v) => v.name === request.params.name);
      if (view !== undefined) return describeView(view);
      throw millraceError(
        "VIEW_UNKNOWN",
        `There is no feature view '${request.params.name}': declared are ${declarations.views.map((v) => v.name).join(", ")}.`,
      );
    },
  );
}

function describeService(service: FeatureServiceMeta): object {
  return {
    name: service.name,
    hash: serviceHash(service),
    description: service.description,
    owner: service.owner,
    tags: service.tags,
    lookup: service.lookup.map(({ name, type, role }) => ({ name, type: type.kind, nullable: type.nullable, role })),
    columns: serviceColumns(service).map(({ name, type, feature }) => ({
      name,
      type: type.kind,
      nullable: type.nullable,
      feature,
    })),
    views: service.views.map((view) => view.name),
  };
}

function describeView(view: FeatureViewMeta): object {
  return {
    name: view.name,
    version: viewVersion(view),
    description: view.description,
    owner: view.owner,
    tags: view.tags,
    source: view.source.name,
    entity: view.entity.name,
    keys: view.entity.keys.map((key, i) => ({ name: key.name, type: key.type.kind, column: view.keyColumns[i] })),
    features: view.features.map((feature) => ({
      name: feature.name,
      aggregation: feature.aggregate.aggregation.name,
      type: feature.type.kind,
      window_seconds: feature.windowMs === null ? null : feature.windowMs / 1_000,
      ttl_seconds: feature.ttlMs === null ? null : feature.ttlMs / 1_000,
    })),
  };
}
