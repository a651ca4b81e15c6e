import type { FastifyInstance } from "fastify";
import type { StoredDeadLetter } from "../../feature_store/offline/offline-store.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import { isObject, readFlag, readMoment, readObject } from "../request-body.ts";
import { operationSchemas } from "../schemas/operations.ts";
import { checkSource } from "./events.ts";

const MAX_DEAD_LETTERS = 10_000;

/** Watching and steering the write side: ingestion status, dead letters, held replays. */
export function operationRoutes(app: FastifyInstance, api: ApiContext, admin: AdminGuard): void {
  app.get("/v1/sources/status", { schema: operationSchemas.status }, async () => {
    const { sources } = await api.backend.status();
    return {
      sources: sources.map((source) => ({
        source: source.source,
        state: source.state,
        messages: source.messages,
        dead_letters: source.deadLetters,
        batches: source.batches,
        retries: source.retries,
        last_event_time: isoTime(source.lastEventTime),
        last_error: source.lastError,
        clock: isoTime(source.clock),
        partitions: source.partitions.map((partition) => ({
          ...snakeCased(partition),
          last_event_time: isoTime(partition.lastEventTime),
        })),
      })),
    };
  });

  app.post<{ Params: { readonly name: string } }>(
    "/v1/sources/:name/reset",
    { schema: operationSchemas.reset, onRequest: admin },
    async (request) => {
      const { name } = request.params;
      checkSource(api, name);
      const { to, dry_run } = readObject(request.body, ["to", "dry_run"]);
      const dryRun = readFlag(dry_run, "dry_run");
      return { partitions: await api.backend.resetSource(name, readPlace(to), dryRun) };
    },
  );

  app.get<{ Querystring: Readonly<Record<string, unknown>> }>(
    "/v1/dead-letters",
    { schema: operationSchemas.deadLetters, onRequest: admin },
    async (request) => {
      const { source, limit } = readObject(request.query, ["source", "limit"]);
      if (source !== undefined) checkSource(api, String(source));
      const most = limit === undefined ? 100 : Number(limit);
      if (!Number.isInteger(most) || most < 1 || most > MAX_DEAD_LETTERS) {
        throw invalidRequest("limit", `a whole number from 1 to ${MAX_DEAD_LETTERS}`);
      }
      const filter = source === undefined ? { limit: most } : { source: String(source), limit: most };
      return { dead_letters: (await api.backend.deadLetters(filter)).map(describeLetter) };
    },
  );

  app.delete(
    "/v1/dead-letters",
    { schema: operationSchemas.removeDeadLetters, onRequest: admin },
    async (request, reply) => {
      const { ids } = readObject(request.body, ["ids"]);
      if (!Array.isArray(ids) || ids.length > MAX_DEAD_LETTERS || !ids.every((id) => Number.isSafeInteger(id))) {
        throw invalidRequest("ids", `a list of at most ${MAX_DEAD_LETTERS} dead letters' ids`);
      }
      await api.backend.removeDeadLetters(ids as number[]);
      return reply.code(204).send();
    },
  );

  app.post("/v1/replay/advance", { schema: operationSchemas.advance, onRequest: admin }, async (request) => {
    const body = readObject(request.body, ["to"]);
    const to = readMoment(body.to, "to");
    if (to === undefined) throw invalidRequest("to", "a moment: ISO 8601 with a zone, or epoch milliseconds");
    await api.backend.advanceTo(to);
    return { to: isoTime(to) };
  });

  app.post("/v1/replay/release", { schema: operationSchemas.release, onRequest: admin }, async (request) => {
    if (request.body !== undefined && !(isObject(request.body) && Object.keys(request.body).length === 0)) {
      throw apiError("REQUEST_INVALID", "This takes no body.", { details: { path: "body" } });
    }
    await api.backend.release();
    return { status: "released" };
  });
}

function readPlace(to: unknown): Parameters<ApiContext["backend"]["resetSource"]>[1] {
  if (to === "earliest" || to === "latest") return to;
  if (isObject(to) && Object.keys(to).length > 0) {
    return Object.fromEntries(
      Object.entries(to).map(([partition, offset]) => {
        if (typeof offset === "number" || typeof offset === "bigint") return [partition, Number(offset)];
        throw invalidRequest(`to['${partition}']`, "the offset that is to be read next");
      }),
    );
  }
  const moment = readMoment(to, "to");
  if (moment !== undefined) return moment;
  throw invalidRequest("to", "earliest, latest, a moment, or offsets by partition");
}

function describeLetter(letter: StoredDeadLetter): object {
  const { id, source, partition, offset, code, reason, bytes, at } = letter;
  const base64 = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  return { id, source, partition, offset, code, reason, at: isoTime(at), bytes: base64, text: textOf(bytes) };
}

function textOf(bytes: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

function snakeCased(facts: object): object {
  return Object.fromEntries(
    Object.entries(facts).map(([name, value]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value,
    ]),
  );
}

function isoTime(ms: number | null): string | null {
  return ms === null || Math.abs(ms) > 8.64e15 ? null : new Date(ms).toISOString();
}
