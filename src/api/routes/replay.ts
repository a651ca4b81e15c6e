import type { FastifyInstance } from "fastify";
import type { RouteContext } from "../server.ts";
import { requestTime, timeSchema } from "./request-time.ts";

/** Held replays: for drivers that predict at a moment of the past. */
export function replayRoutes(app: FastifyInstance, context: RouteContext): void {
  const { backend } = context;
  app.post<{ Body: { to: string | number } }>(
    "/v1/replay/advance",
    {
      schema: {
        tags: ["replay"],
        summary: "Let held replays deliver the events before a moment; answers once they are readable (operator).",
        body: { type: "object", required: ["to"], additionalProperties: false, properties: { to: timeSchema } },
      },
    },
    async (request) => {
      context.admin(request);
      const to = requestTime("to", request.body.to)!;
      await backend.advanceTo(to);
      return { to: new Date(to).toISOString() };
    },
  );
  app.post(
    "/v1/replay/release",
    { schema: { tags: ["replay"], summary: "Let replays deliver everything (operator)." } },
    async (request) => {
      context.admin(request);
      await backend.release();
      return { status: "released" };
    },
  );
}
