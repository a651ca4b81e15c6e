import type { FastifyInstance } from "fastify";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { isObject, readObject } from "../request-body.ts";
import { erasureSchemas } from "../schemas/erasures.ts";

/** `POST /v1/erasures`: erases one entity everywhere, for good. `GET`: what was erased, without keys. */
export function erasureRoutes(app: FastifyInstance, { backend }: ApiContext, admin: AdminGuard): void {
  app.post("/v1/erasures", { schema: erasureSchemas.erase, onRequest: admin }, async (request) => {
    const { entity, key } = readObject(request.body, ["entity", "key"]);
    if (typeof entity !== "string") throw invalidRequest("entity", "the name of an entity");
    if (!isObject(key)) throw invalidRequest("key", "an object with a value for each key column of the entity");
    const erasure = await backend.erase(entity, key);
    return {
      entity,
      events: erasure.events,
      dead_letters: erasure.deadLetters,
      predictions: erasure.predictions,
      values: erasure.values,
      other_values: erasure.otherValues,
      until: isoTime(erasure.until),
      pending: erasure.pending,
    };
  });

  app.get("/v1/erasures", { schema: erasureSchemas.list, onRequest: admin }, async () => ({
    erasures: (await backend.erasures()).map(({ id, entity, until, pending }) => ({
      id,
      entity,
      until: isoTime(until),
      pending,
    })),
  }));
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
