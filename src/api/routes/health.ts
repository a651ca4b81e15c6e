import type { FastifyInstance } from "fastify";
import type { RouteContext } from "../server.ts";

/** Liveness, readiness and metrics. */
export function healthRoutes(app: FastifyInstance, { readiness, metrics, draining }: RouteContext): void {
  app.get("/livez", { schema: { tags: ["operating"], summary: "The process is alive." } }, async () => ({
    status: "ok",
  }));
  app.get(
    "/readyz",
    {
      schema: {
        tags: ["operating"],
        summary:
          "200 once every view is filled and every model was tried; 503 with the reasons before, and while draining.",
      },
    },
    async (_request, reply) => {
      const { ready, reasons } = readiness();
      if (ready && !draining()) return { status: "ready" };
      return reply.code(503).send({ status: "not ready", reasons: draining() ? ["draining", ...reasons] : reasons });
    },
  );
  app.get(
    "/metrics",
    { schema: { tags: ["operating"], summary: "Prometheus metrics, as text or OpenMetrics by Accept." } },
    async (request, reply) => {
      const { contentType, body } = await metrics(request.headers.accept ?? "");
      return reply.type(contentType).send(body);
    },
  );
}
