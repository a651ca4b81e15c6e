import type { FastifyInstance } from "fastify";
import type { FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import type { ViewRuntime } from "../../feature_store/view-runtime.ts";
import type { ApiContext } from "../api-context.ts";
import { apiError } from "../api-errors.ts";
import { catalogSchemas } from "../schemas/catalog.ts";

/** What is declared: sources, views, services. */
export function catalogRoutes(app: FastifyInstance, api: ApiContext): void {
  app.get("/v1/sources", { schema: catalogSchemas.sources }, async () => ({
    sources: api.declarations.sources.map(describeSource),
  }));

  app.get("/v1/features/views", { schema: catalogSchemas.views }, async () => ({
    views: [...api.features.views.values()].map(describeView),
  }));

  app.get<{ Params: { name: string } }>(
    "/v1/features/views/:name",
    { schema: catalogSchemas.view },
    async (request) => {
      const view = api.features.views.get(request.params.name);
      if (view !== undefined) return describeView(view);
      throw apiError(
        "VIEW_UNKNOWN",
        `There is no feature view '${request.params.name}': declared are ${[...api.features.views.keys()].join(", ") || "none"}.`,
      );
    },
  );

  app.get("/v1/features/services", { schema: catalogSchemas.services }, async () => ({
    services: [...api.features.services.values()].map(describeService),
  }));

  app.get<{ Params: { name: string } }>(
    "/v1/features/services/:name",
    { schema: catalogSchemas.service },
    async (request) => describeService(api.features.service(request.params.name)),
  );
}

function describeSource(source: SourceMeta): object {
  const { name, kind, connector, columns, description, owner, tags } = source;
  return {
    name,
    kind,
    connector: connector.connector,
    columns: columns.map((column) => ({ name: column.name, type: column.type.kind, nullable: column.type.nullable })),
    event_time: source.eventTime,
    id: source.id,
    version: source.version,
    clock: source.clock,
    lateness_seconds: source.latenessMs / 1_000,
    description,
    owner,
    tags,
  };
}

function describeView({ layout, keyspace }: ViewRuntime): object {
  const view: FeatureViewMeta = layout.view;
  return {
    name: view.name,
    version: keyspace,
    source: view.source.name,
    entity: view.entity.name,
    keys: view.entity.keys.map((key, i) => ({ name: key.name, type: key.type.kind, column: view.keyColumns[i] })),
    features: view.features.map((feature) => ({
      name: feature.name,
      type: feature.type.kind,
      nullable: feature.type.nullable,
      aggregation: feature.aggregate.aggregation.name,
      window_seconds: seconds(feature.windowMs),
      ttl_seconds: seconds(feature.ttlMs),
    })),
    description: view.description,
    owner: view.owner,
    tags: view.tags,
  };
}

function describeService(runtime: ServiceRuntime): object {
  const { service, hash, row } = runtime;
  return {
    name: service.name,
    hash,
    lookup: service.lookup.map(({ name, role, type }) => ({
      name,
      role,
      type: type.kind,
      nullable: type.nullable,
      ...(type.values === undefined ? {} : { values: type.values }),
    })),
    columns: row.columns.map(({ name, type, feature }) => ({
      name,
      type: type.kind,
      nullable: type.nullable,
      feature,
    })),
    views: service.views.map((view) => view.name),
    /** Features whose transforms learn from a training set. */
    fitted: [...new Set(row.fits.map((fit) => fit.feature))],
    labels: row.labels.map(({ name, type }) => ({ name, type: type.kind })),
    description: service.description,
    owner: service.owner,
    tags: service.tags,
  };
}

function seconds(ms: number | null): number | null {
  return ms === null ? null : ms / 1_000;
}
