import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { ApiContext } from "../api-context.ts";
import { apiError } from "../api-errors.ts";
import { decodeContent, encodeContent } from "../content-encoding.ts";
import { csvLines } from "../csv-lines.ts";
import { scoringAnswer } from "../mlflow_scoring/scoring-answer.ts";
import { readScoringCsv, readScoringJson, type ScoringRequest } from "../mlflow_scoring/scoring-request.ts";
import type { ModelVersions } from "../models/model-versions.ts";
import { predictTable } from "../predict-table.ts";
import { toProblem } from "../problem.ts";
import { deadlineOf } from "../request-deadlines.ts";
import { mlflowScoringSchemas } from "../schemas/mlflow-scoring.ts";

const JSON_TYPE = "application/json";

/** The routes of MLflow's scoring server, with its forms of bodies, answers and errors. */
export function mlflowScoringRoutes(app: FastifyInstance, api: ApiContext, isDraining: () => boolean): void {
  void app.register(async (scoring) => {
    scoring.setErrorHandler(sendScoringError);
    scoring.removeAllContentTypeParsers();
    scoring.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

    scoring.get("/ping", { schema: mlflowScoringSchemas.ping }, async (_request, reply) =>
      reply
        .code(!isDraining() && api.readiness().ready ? 200 : 503)
        .type(JSON_TYPE)
        .send(Buffer.from("\n")),
    );

    scoring.get("/version", { schema: mlflowScoringSchemas.version }, async (_request, reply) =>
      reply.type("text/plain; charset=utf-8").send(api.version),
    );

    scoring.post("/invocations", { schema: mlflowScoringSchemas.invocations }, async (request, reply) =>
      score(defaultModel(), request, reply),
    );

    scoring.post<{ Params: { name: string } }>(
      "/v1/models/:name/invocations",
      { schema: mlflowScoringSchemas.modelInvocations },
      async (request, reply) => score(api.models.get(request.params.name), request, reply),
    );
  });

  /** @throws `MODEL_NOT_CHOSEN`, `MODEL_UNKNOWN` */
  function defaultModel(): ModelVersions {
    const { defaultModel: name = null } = api;
    if (name !== null) return api.models.get(name);
    const models = api.models.list();
    if (models.length === 1) return models[0]!;
    throw apiError(
      "MODEL_NOT_CHOSEN",
      `There are ${models.length} models: name one with /v1/models/{name}/invocations, or say which /invocations means with models.default (MILLRACE_DEFAULT_MODEL).`,
    );
  }

  async function score(versions: ModelVersions, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const startedAt = performance.now();
    const { model } = versions;
    const { table, asOf, exact } = await readScoring(versions, request);
    const count = table.rows.length;
    let json = `{"predictions":[]}`;
    if (count > 0) {
      const { answers, version } = await predictTable(api, model, table, {
        asOf,
        exact,
        startedAt,
        ...deadlineOf(request),
      });
      if (version !== null) reply.header("x-millrace-model-version", encodeURIComponent(version));
      json = scoringAnswer(model, answers, count);
    }
    const { body, encoding } = await encodeContent(json, request.headers["accept-encoding"]);
    if (encoding !== null) reply.header("content-encoding", encoding);
    return reply.type(JSON_TYPE).send(Buffer.from(body as string));
  }

  async function readScoring(versions: ModelVersions, request: FastifyRequest): Promise<ScoringRequest> {
    const type = scoringType(request.headers["content-type"]);
    const runtime = api.features.service(versions.model.service.name);
    const raw = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const bytes = await decodeContent(raw, request.headers["content-encoding"], api.limits.bodyLimitBytes);
    const text = bytes.toString("utf8");
    if (type === "csv") return readScoringCsv(await csvLines(text), runtime, api.limits.maxRows);
    const inputs = versions.serving?.resident?.loaded.signature?.inputs ?? null;
    return readScoringJson(text, runtime, inputs?.kind !== "columns", api.limits.maxRows);
  }
}

/** @throws `MEDIA_TYPE_UNSUPPORTED` */
function scoringType(header = ""): "json" | "csv" {
  const [type, ...parameters] = header
    .toLowerCase()
    .split(";")
    .map((part) => part.trim());
  const odd = parameters.find((parameter) => !/^charset="?utf-8"?$/.test(parameter));
  if (odd !== undefined) {
    throw apiError(
      "MEDIA_TYPE_UNSUPPORTED",
      `The Content-Type has '${odd.slice(0, 100)}': only charset=utf-8 is read.`,
    );
  }
  if (type === JSON_TYPE) return "json";
  if (type === "text/csv") return "csv";
  throw apiError(
    "MEDIA_TYPE_UNSUPPORTED",
    `The Content-Type is '${String(type).slice(0, 100)}': send application/json or text/csv, or Parquet to /v1/models/{name}/predict-batch.`,
  );
}

/** As MLflow's exceptions are written, with our codes. */
function sendScoringError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, body, retryAfter } = toProblem(error, request.id);
  if (status >= 500) request.log.error({ err: error, route: request.routeOptions.url, status }, "request failed");
  if (retryAfter !== null) reply.header("retry-after", String(retryAfter));
  const { detail, code } = JSON.parse(body) as { readonly detail: string; readonly code: string };
  reply
    .code(status)
    .type(JSON_TYPE)
    .send(Buffer.from(JSON.stringify({ error_code: code, message: detail })));
}
