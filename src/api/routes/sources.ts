import type { FastifyInstance } from "fastify";
import { millraceError } from "../../definitions/errors.ts";
import type { RouteContext } from "../server.ts";

const params = { type: "object", properties: { name: { type: "string" } } } as const;

/** Events in, and how ingestion is doing. */
export function sourceRoutes(app: FastifyInstance, context: RouteContext): void {
  const { backend, declarations } = context;

  // Events are decoded with all digits of their integers: the text goes on as it came.
  app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser(
      ["application/json", "application/x-ndjson", "application/jsonl", "text/plain"],
      { parseAs: "string" },
      (_request, body, done) => done(null, body),
    );
    scope.post<{ Params: { name: string }; Body: string | undefined }>(
      "/v1/sources/:name/events",
      {
        schema: {
          tags: ["sources"],
          summary: "Push events: a JSON array, or JSON lines. Answers once they are durable.",
          description:
            "202 with how many were accepted and which were rejected, and why; 422 if all were. With the header Idempotency-Key a second push under the same key is answered and not applied.",
          params,
        },
      },
      async (request, reply) => {
        const { name } = request.params;
        if (!declarations.sources.some((source) => source.name === name)) {
          throw millraceError(
            "SOURCE_UNKNOWN",
            `There is no source '${name}': declared are ${declarations.sources.map((s) => s.name).join(", ") || "none"}.`,
          );
        }
        const text = request.body ?? "";
        if (text.trim() === "")
          throw millraceError("BODY_INVALID", "The body is empty: send a JSON array of events, or one event per line.");
        const key = request.headers["idempotency-key"];
        const result = await backend.push(name, text, typeof key === "string" ? { idempotencyKey: key } : {});
        if (result.accepted === 0 && result.rejected.length > 0) {
          throw millraceError(
            "EVENTS_REJECTED",
            `All ${result.rejected.length} events were rejected: ${result.rejected[0]!.reason}`,
            { details: { rejected: result.rejected } },
          );
        }
        return reply.code(202).send(result);
      },
    );
  });

  app.get("/v1/sources", { schema: { tags: ["sources"], summary: "Every declared source." } }, async () => ({
    sources: declarations.sources.map((source) => ({
      name: source.name,
      kind: source.kind,
      connector: source.connector.connector,
      description: source.description,
      event_time: source.eventTime,
      columns: source.columns.map(({ name, type }) => ({ name, type: type.kind, nullable: type.nullable })),
    })),
  }));
  app.get(
    "/v1/sources/status",
    { schema: { tags: ["sources"], summary: "State, counts and lag per source and partition." } },
    async () => backend.status(),
  );
  app.get<{ Querystring: { source?: string; limit?: string } }>(
    "/v1/dead-letters",
    { schema: { tags: ["sources"], summary: "Messages that could not be taken, newest first (operator)." } },
    async (request) => {
      context.admin(request);
      const limit = Number(request.query.limit ?? 100);
      if (!Number.isInteger(limit) || limit < 1 || limit > 10_000)
        throw millraceError("QUERY_INVALID", "limit must be a whole number from 1 to 10,000.");
      const letters = await backend.deadLetters({
        limit,
        ...(request.query.source === undefined ? {} : { source: request.query.source }),
      });
      return {
        dead_letters: letters.map((letter) => ({
          ...letter,
          at: new Date(letter.at).toISOString(),
          bytes: Buffer.from(letter.bytes).toString("base64"),
        })),
      };
    },
  );
  app.delete<{ Body: { ids: number[] } }>(
    "/v1/dead-letters",
    {
      schema: {
        tags: ["sources"],
        summary: "Forget dead letters (operator).",
        body: {
          type: "object",
          required: ["ids"],
          additionalProperties: false,
          properties: { ids: { type: "array", items: { type: "integer" } } },
        },
      },
    },
    async (request, reply) => {
      context.admin(request);
      await backend.removeDeadLetters(request.body.ids);
      return reply.code(204).send();
    },
  );
}
