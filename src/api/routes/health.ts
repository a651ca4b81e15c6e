import type { FastifyInstance } from "fastify";
import type { ApiContext } from "../api-context.ts";
import { healthSchemas } from "../schemas/health.ts";

/** Whether the process lives, whether it should get requests, and its metrics. `isDraining`: it is about to stop. */
export function healthRoutes(app: FastifyInstance, api: ApiContext, isDraining: () => boolean): void {
  app.get("/livez", { schema: healthSchemas.live }, async () => ({ status: "ok" }));

  app.get("/readyz", { schema: healthSchemas.ready }, async (_request, reply) => {
    const { ready, reasons } = isDraining() ? { ready: false, reasons: ["the server is stopping"] } : api.readiness();
    if (!ready) reply.code(503);
    return { status: ready ? "ready" : "not ready", reasons };
  });

  app.get("/metrics", { schema: healthSchemas.metrics }, async (request, reply) => {
    const { contentType, body } = await api.metrics(request.headers.accept ?? "");
    reply.type(contentType);
    return body;
  });
}
