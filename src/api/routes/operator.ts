import type { FastifyInstance } from "fastify";
import { planText } from "../../feature_engineering/plan/plan.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { apiError } from "../api-errors.ts";
import { readObject } from "../request-body.ts";
import { operatorSchemas } from "../schemas/operator.ts";

/** What the command line asks of a running process. */
export function operatorRoutes(app: FastifyInstance, api: ApiContext, admin: AdminGuard): void {
  const { backend } = api;
  app.get("/v1/plan", { preHandler: admin, schema: operatorSchemas.plan }, async () => {
    const applied = await backend.applied();
    if (applied === null) return { hash: null, applied_at: null, plan: null };
    const plan = JSON.parse(planText(applied.plan)) as unknown;
    return { hash: applied.hash, applied_at: new Date(applied.appliedAt).toISOString(), plan };
  });
  app.post("/v1/apply", { preHandler: admin, schema: operatorSchemas.apply }, async (request) => {
    const { hash } = readObject(request.body ?? {}, ["hash"]);
    if (hash !== undefined && typeof hash !== "string")
      throw apiError("REQUEST_INVALID", "'hash' must be a plan's hash.");
    const { hash: taken, diff } = await api.takeOver(hash ?? null);
    return { hash: taken, meaning: diff.meaning, changes: diff.changes };
  });
  app.post<{ Body: { readonly view?: unknown; readonly sample?: unknown } }>(
    "/v1/check-consistency",
    { preHandler: admin, schema: operatorSchemas.check },
    async (request) => {
      const { view, sample = 100 } = request.body ?? {};
      if (view !== undefined && typeof view !== "string")
        throw apiError("REQUEST_INVALID", "'view' must be the name of a feature view.");
      if (typeof sample !== "number" || !Number.isInteger(sample) || sample < 1 || sample > 1_000_000) {
        throw apiError("REQUEST_INVALID", "'sample' must be a whole number from 1 to 1,000,000.");
      }
      const reports = await backend.checkConsistency(view ?? null, sample);
      return { reports: reports.map((report) => ({ ...report, time: new Date(report.time).toISOString() })) };
    },
  );
  app.post<{ Body: Readonly<Record<string, unknown>> }>(
    "/v1/prune",
    { preHandler: admin, schema: operatorSchemas.prune },
    async (request) => {
      const {
        plans = 3,
        unapplied = false,
        dry_run = false,
      } = readObject(request.body ?? {}, ["plans", "unapplied", "dry_run"]);
      if (!Number.isSafeInteger(plans) || (plans as number) < 1) {
        throw apiError("REQUEST_INVALID", "'plans' must be a whole number from 1.");
      }
      for (const [name, value] of Object.entries({ unapplied, dry_run })) {
        if (typeof value !== "boolean") throw apiError("REQUEST_INVALID", `'${name}' must be true or false.`);
      }
      const report = await backend.prune({
        plans: plans as number,
        unapplied: unapplied === true,
        dryRun: dry_run === true,
      });
      return {
        kept: report.kept,
        keyspaces: report.keyspaces.map(({ keyspace, lastPlan, dropped }) => ({
          keyspace,
          last_plan: lastPlan,
          dropped,
        })),
      };
    },
  );
}
