import { createReadStream } from "node:fs";
import type { FastifyInstance } from "fastify";
import type { TrainingJobStatus } from "../../feature_store/training-jobs.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import { isFromAdmin, isLetIn } from "../auth/api-auth.ts";
import { type JsonObject, readChoice, readName, readObject } from "../request-body.ts";
import { trainingSetSchemas } from "../schemas/training-sets.ts";
import { fittedOf } from "./features-online.ts";

const FILE_TYPES = {
  parquet: "application/vnd.apache.parquet",
  csv: "text/csv; charset=utf-8",
  arrow: "application/vnd.apache.arrow.file",
} as const;
/** The most of a frame that comes at once. */
const MAX_FRAME_BYTES = 16 * 2 ** 20;
const MAX_TIMEOUT_SECONDS = 86_400;

type Job = { readonly Params: { readonly id: string }; readonly Querystring: Readonly<Record<string, unknown>> };

/**
 * Training sets of any size as jobs: the frame is sent in pieces, or queried from the cold store, the file is made in
 * the background and fetched when it is done. Equal requests are one job, so a client that lost its connection, or a
 * server that was restarted, goes on where it was.
 */
export function trainingSetRoutes(app: FastifyInstance, api: ApiContext, admin: AdminGuard): void {
  const { backend } = api;
  /** Where keys are asked for, the scope of the route has been checked; else it is the token's. */
  const reader: AdminGuard = async (request) => (isLetIn(request) ? undefined : admin(request));
  void app.register(async (scope) => {
    scope.addContentTypeParser("application/octet-stream", { parseAs: "buffer" }, (_request, body, done) => {
      done(null, body);
    });

    scope.post("/v1/training-sets", { schema: trainingSetSchemas.open, onRequest: reader }, async (request, reply) => {
      const body = readObject(request.body, [
        "service",
        "knowledge",
        "format",
        "model",
        "frame",
        "sql",
        "timeout_seconds",
      ]);
      // A query may read all of the cold store, dead letters and logs included.
      if (body.sql !== undefined && isLetIn(request) && !isFromAdmin(request)) {
        throw apiError("SCOPE_MISSING", "A training set by `sql` needs an API key with the scope 'admin'.", {
          details: { scope: "admin" },
        });
      }
      const { service } = api.features.service(readName(body.service, "service"));
      const knowledge = readChoice(body.knowledge ?? "event_time", "knowledge", ["event_time", "ingested_at"]);
      const format = readChoice(body.format ?? "parquet", "format", ["parquet", "csv", "arrow"]);
      const model = body.model === undefined ? null : readName(body.model, "model");
      const fitted = model === null ? null : await fittedOf(api, model, service.name);
      if ((body.frame === undefined) === (body.sql === undefined))
        throw invalidRequest("frame", "given, or `sql` instead");
      const frame = body.frame === undefined ? readQuery(body) : readUpload(body.frame);
      reply.code(202);
      return describe(await backend.openTrainingJob({ service: service.name, knowledge, format, fitted, frame }));
    });

    scope.put<Job & { readonly Body: unknown }>(
      "/v1/training-sets/:id/frame",
      { schema: trainingSetSchemas.append, onRequest: reader, bodyLimit: MAX_FRAME_BYTES },
      async (request) => {
        const offset = Number(request.query.offset);
        if (!Number.isSafeInteger(offset) || offset < 0) throw invalidRequest("offset", "a whole number of bytes");
        if (!Buffer.isBuffer(request.body)) throw invalidRequest("The body", "bytes, as application/octet-stream");
        return describe(await backend.appendFrame(request.params.id, offset, request.body));
      },
    );

    scope.get<Job>("/v1/training-sets/:id", { schema: trainingSetSchemas.status, onRequest: reader }, async (request) =>
      describe(await backend.trainingJob(request.params.id)),
    );

    scope.get<Job>(
      "/v1/training-sets/:id/file",
      { schema: trainingSetSchemas.file, onRequest: reader },
      async (request, reply) => {
        const { path, bytes, state } = await backend.trainingJob(request.params.id);
        if (path === null || bytes === null)
          throw invalidRequest("id", `a training set that is done; this one is ${state}`);
        const format = path.slice(path.lastIndexOf(".") + 1) as keyof typeof FILE_TYPES;
        reply.type(FILE_TYPES[format]);
        reply.header("content-length", bytes);
        return reply.send(createReadStream(path));
      },
    );

    scope.delete<Job>(
      "/v1/training-sets/:id",
      { schema: trainingSetSchemas.remove, onRequest: admin },
      async (request, reply) => {
        await backend.removeTrainingJob(request.params.id);
        return reply.code(204).send();
      },
    );
  });
}

function readUpload(value: unknown): { kind: "upload"; format: "csv"; bytes: number; sha256: string } {
  const frame = readObject(value, ["format", "bytes", "sha256"]);
  const format = readChoice(frame.format, "frame.format", ["csv", "csv.gz", "parquet", "jsonl", "arrow"]);
  const { bytes, sha256 } = frame;
  if (typeof bytes !== "number" || !Number.isSafeInteger(bytes) || bytes < 1) {
    throw invalidRequest("frame.bytes", "the length of the frame in bytes");
  }
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) {
    throw invalidRequest("frame.sha256", "the SHA-256 of the frame, in hexadecimal digits");
  }
  return { kind: "upload", format: format as "csv", bytes, sha256 };
}

function readQuery({ sql, timeout_seconds: seconds = 600 }: JsonObject): {
  readonly kind: "sql";
  readonly sql: string;
  readonly timeoutMs: number;
} {
  if (typeof sql !== "string" || sql.trim() === "") throw invalidRequest("sql", "a SELECT");
  if (typeof seconds !== "number" || !(seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS)) {
    throw invalidRequest("timeout_seconds", `a number of seconds up to ${MAX_TIMEOUT_SECONDS}`);
  }
  return { kind: "sql", sql, timeoutMs: seconds * 1_000 };
}

function describe({ id, state, received, progress, manifest, bytes, error }: TrainingJobStatus): object {
  return { id, state, received, progress, bytes, error, millrace: manifest };
}
