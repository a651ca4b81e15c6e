import type { FastifyInstance } from "fastify";
import { diffPlans, type PlanKind } from "../../feature_engineering/plan/diff-plans.ts";
import { renderDiff } from "../../feature_engineering/plan/render-diff.ts";
import { type CatalogQuery, findEntry, searchCatalog } from "../../feature_store/registry/catalog.ts";
import { type Lineage, lineageOf } from "../../feature_store/registry/lineage.ts";
import { findPlanVersion, type PlanVersion } from "../../feature_store/registry/plan-versions.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { type JsonObject, readChoice, readName, readObject } from "../request-body.ts";
import { registrySchemas } from "../schemas/registry.ts";

type Query = { Querystring: Readonly<Record<string, unknown>> };
const KINDS = ["entity", "source", "view", "service", "model", "outcome"] as const;

/** What was declared, who reads what, and how it was before: plans, for display; nothing of them is ever run. */
export function registryRoutes(app: FastifyInstance, { backend }: ApiContext, admin: AdminGuard): void {
  const versionOf = async (at: unknown): Promise<PlanVersion> =>
    findPlanVersion(await backend.planVersions(), at === undefined ? "current" : readName(at, "at"));

  app.get<Query>("/v1/registry", { schema: registrySchemas.search, onRequest: admin }, async (request) => {
    const { kind, owner, tag, text, at } = readObject(request.query, ["kind", "owner", "tag", "text", "at"]);
    const query: CatalogQuery = {
      ...kindOf(kind),
      ...(owner === undefined ? {} : { owner: readName(owner, "owner") }),
      ...(tag === undefined ? {} : { tag: readName(tag, "tag") }),
      ...(text === undefined ? {} : { text: readName(text, "text") }),
    };
    const version = await versionOf(at);
    return { ...describe(version), entries: searchCatalog(version.plan, query) };
  });

  app.get<Query & { Params: { name: string } }>(
    "/v1/registry/entries/:name",
    { schema: registrySchemas.entry, onRequest: admin },
    async (request) => {
      const { kind, at } = readObject(request.query, ["kind", "at"]);
      const version = await versionOf(at);
      return { ...describe(version), ...findEntry(version.plan, request.params.name, kindOf(kind).kind) };
    },
  );

  app.get<Query & { Params: { name: string } }>(
    "/v1/registry/lineage/:name",
    { schema: registrySchemas.lineage, onRequest: admin },
    async (request): Promise<object & Lineage> => {
      const { kind, column, at } = readObject(request.query, ["kind", "column", "at"]);
      const version = await versionOf(at);
      const wanted = column === undefined ? undefined : readName(column, "column");
      return { ...describe(version), ...lineageOf(version.plan, request.params.name, kindOf(kind).kind, wanted) };
    },
  );

  app.get("/v1/registry/versions", { schema: registrySchemas.versions, onRequest: admin }, async () => ({
    versions: (await backend.planVersions()).map(describe),
  }));

  app.get<{ Params: { version: string } }>(
    "/v1/registry/versions/:version",
    { schema: registrySchemas.version, onRequest: admin },
    async (request) => {
      const version = findPlanVersion(await backend.planVersions(), request.params.version);
      return { ...describe(version), plan: version.plan };
    },
  );

  app.get<Query>("/v1/registry/diff", { schema: registrySchemas.diff, onRequest: admin }, async (request) => {
    const query: JsonObject = readObject(request.query, ["from", "to"]);
    if (query.from === undefined) throw invalidRequest("from", "a version of the plan");
    const versions = await backend.planVersions();
    const from = findPlanVersion(versions, readName(query.from, "from"));
    const to = findPlanVersion(versions, query.to === undefined ? "current" : readName(query.to, "to"));
    const diff = diffPlans(from.plan, to.plan);
    return { from: describe(from), to: describe(to), ...diff, text: renderDiff(diff) };
  });

  app.get("/v1/registry/served-models", { schema: registrySchemas.served, onRequest: admin }, async () => ({
    served_models: (await backend.servedModels()).map(
      ({ model, version, service, serviceHash, planHash, servedAt }) => ({
        model,
        version,
        service,
        service_hash: serviceHash,
        plan_hash: planHash,
        served_at: new Date(servedAt).toISOString(),
      }),
    ),
  }));
}

function kindOf(value: unknown): { readonly kind?: PlanKind } {
  return value === undefined ? {} : { kind: readChoice(value, "kind", KINDS) };
}

function describe({ version, hash, appliedAt }: PlanVersion): object {
  return { version, hash, applied_at: new Date(appliedAt).toISOString() };
}
