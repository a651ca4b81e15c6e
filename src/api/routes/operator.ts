import type { FastifyInstance } from "fastify";
import { planText } from "../../feature_engineering/plan/plan.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { apiError } from "../api-errors.ts";

/** What the command line asks of a running process. */
export function operatorRoutes(app: FastifyInstance, { backend }: ApiContext, admin: AdminGuard): void {
  app.get(
    "/v1/plan",
    { preHandler: admin, schema: { tags: ["operations"], summary: "The plan that was applied last." } },
    async () => {
      const applied = await backend.applied();
      if (applied === null) return { hash: null, applied_at: null, plan: null };
      const plan = JSON.parse(planText(applied.plan)) as unknown;
      return { hash: applied.hash, applied_at: new Date(applied.appliedAt).toISOString(), plan };
    },
  );
  app.post<{ Body: { readonly view?: unknown; readonly sample?: unknown } }>(
    "/v1/check-consistency",
    {
      preHandler: admin,
      schema: {
        tags: ["operations"],
        summary: "Compare what the hot store serves with history, for a sample of entities.",
        body: { type: "object", properties: { view: { type: "string" }, sample: { type: "integer" } } },
      },
    },
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
}
