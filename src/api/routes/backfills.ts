import type { FastifyInstance } from "fastify";
import { millraceError } from "../../definitions/errors.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import type { BackfillJob } from "../lifecycle-backend.ts";
import { readChoice, readObject } from "../request-body.ts";
import { backfillSchemas } from "../schemas/backfills.ts";

const MAX_NAMES = 10_000;

/** Jobs that load files into history and compute hot values from it. */
export function backfillRoutes(app: FastifyInstance, { backend }: ApiContext, admin: AdminGuard): void {
  app.post("/v1/backfills", { schema: backfillSchemas.start, onRequest: admin }, async (request, reply) => {
    const body = readObject(request.body ?? {}, ["kind", "views", "source", "files"]);
    const kind = body.kind === undefined ? "backfill" : readChoice(body.kind, "kind", ["backfill", "materialize"]);
    const views = readNames(body.views, "views");
    const files = readNames(body.files, "files") ?? [];
    const { source = null } = body;
    if (source !== null && typeof source !== "string") throw invalidRequest("source", "the name of a source");
    if (files.length > 0 && source === null) {
      throw apiError("REQUEST_INVALID", "Files belong to a source: name it in 'source'.", {
        details: { path: "source" },
      });
    }
    if (files.length > 0 && kind === "materialize") throw invalidRequest("kind", "backfill where files are loaded");
    return reply.code(202).send(describe(await backend.backfill({ kind, views, source, files })));
  });

  app.get("/v1/backfills", { schema: backfillSchemas.list, onRequest: admin }, async () => ({
    backfills: (await backend.backfills()).map(describe),
  }));

  app.get<{ Params: { id: string } }>(
    "/v1/backfills/:id",
    { schema: backfillSchemas.show, onRequest: admin },
    async (request) => {
      const { id } = request.params;
      const found = (await backend.backfills()).find((job) => job.id === id);
      if (found === undefined) throw millraceError("BACKFILL_UNKNOWN", `There is no backfill '${id.slice(0, 100)}'.`);
      return describe(found);
    },
  );

  app.delete<{ Params: { id: string } }>(
    "/v1/backfills/:id",
    { schema: backfillSchemas.stop, onRequest: admin },
    async (request) => describe(await backend.stopBackfill(request.params.id.slice(0, 100))),
  );
}

function readNames(value: unknown, path: string): readonly string[] | null {
  if (value === undefined || value === null) return null;
  const isList = Array.isArray(value) && value.length > 0 && value.length <= MAX_NAMES;
  if (!isList || !value.every((name) => typeof name === "string")) throw invalidRequest(path, "a list of names");
  return value as readonly string[];
}

function describe({ deadLetters, startedAt, updatedAt, ...job }: BackfillJob): object {
  return {
    ...job,
    dead_letters: deadLetters,
    started_at: new Date(startedAt).toISOString(),
    updated_at: new Date(updatedAt).toISOString(),
  };
}
