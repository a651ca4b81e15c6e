import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { decodeContent, encodeContent } from "../content-encoding.ts";
import { locateLookup } from "../locate-lookup.ts";
import { modelError } from "../models/model-errors.ts";
import type { ModelVersions } from "../models/model-versions.ts";
import type { WholeAnswers } from "../models/predict-whole.ts";
import { inferAnswer } from "../open_inference/infer-answer.ts";
import { type InferRequest, readInferRequest } from "../open_inference/infer-request.ts";
import { inferRows } from "../open_inference/infer-rows.ts";
import { modelConfig, modelMetadata } from "../open_inference/model-metadata.ts";
import { toProblem } from "../problem.ts";
import { isObject, parseBody, readFlag, readMoment } from "../request-body.ts";
import { deadlineOf } from "../request-deadlines.ts";
import { openInferenceSchemas } from "../schemas/open-inference.ts";

/** KServe's client compares it with the whole header. */
const JSON_TYPE = "application/json";
const HEADER_LENGTH = "inference-header-content-length";

type Named = { readonly Params: { readonly name: string; readonly version?: string }; readonly Body: unknown };

interface Inferred {
  readonly version: string | null;
  readonly count: number;
  readonly answers: WholeAnswers;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** The routes of the Open Inference Protocol (V2) and of Triton's binary tensor and repository index extensions. */
export function openInferenceRoutes(
  app: FastifyInstance,
  api: ApiContext,
  admin: AdminGuard,
  isDraining: () => boolean,
): void {
  void app.register(async (v2) => {
    v2.setErrorHandler(sendInferenceError);
    v2.removeAllContentTypeParsers();
    // Clients send JSON and binary tensors with any type, or with none.
    v2.addContentTypeParser("*", { parseAs: "buffer" }, (_request, body, done) => done(null, body));

    v2.get("/v2", { schema: openInferenceSchemas.server }, async (_request, reply) => {
      return sendJson(reply, {
        name: "millrace",
        version: api.version,
        extensions: ["binary_tensor_data", "model_repository"],
      });
    });

    v2.get("/v2/health/live", { schema: openInferenceSchemas.live }, async (_request, reply) => {
      return sendJson(reply, { live: true });
    });

    v2.get("/v2/health/ready", { schema: openInferenceSchemas.ready }, async (_request, reply) => {
      const ready = !isDraining() && api.readiness().ready;
      return sendJson(reply.code(ready ? 200 : 503), { ready });
    });

    v2.post("/v2/repository/index", { schema: openInferenceSchemas.index }, async (request, reply) => {
      const body = Buffer.isBuffer(request.body) && request.body.length > 0 ? parseBody(request.body.toString()) : {};
      const onlyReady = isObject(body) && body.ready === true;
      const states = api.models
        .list()
        .map(({ model, serving, lastFailure, isUnloaded }) =>
          serving === null || isUnloaded
            ? {
                name: model.name,
                version: "",
                state: "UNAVAILABLE",
                reason: isUnloaded ? "unloaded" : (lastFailure?.code ?? ""),
              }
            : { name: model.name, version: serving.version.version, state: "READY", reason: "" },
        )
        .filter(({ state }) => !onlyReady || state === "READY");
      return sendJson(reply, states);
    });

    for (const [path, isHidden] of [
      ["/v2/models/:name", false],
      ["/v2/models/:name/versions/:version", true],
    ] as const) {
      const schemaOf = (what: "model" | "modelReady" | "infer"): object =>
        isHidden ? { hide: true } : openInferenceSchemas[what];

      v2.get<Named>(path, { schema: schemaOf("model") }, async (request, reply) => {
        const versions = versionsOf(request.params);
        return sendJson(reply, modelMetadata(versions, api.features.service(versions.model.service.name)));
      });

      v2.get<Named>(`${path}/ready`, { schema: schemaOf("modelReady") }, async (request, reply) => {
        const { model, serving, isUnloaded } = versionsOf(request.params);
        const ready = serving !== null && !isUnloaded && !isDraining();
        return sendJson(reply.code(ready ? 200 : 503), { name: model.name, ready });
      });

      v2.get<Named>(`${path}/config`, { schema: { hide: true } }, async (request, reply) => {
        const { model, serving } = versionsOf(request.params);
        return sendJson(reply, modelConfig(model, api.features.service(model.service.name), serving?.flavor));
      });

      v2.post<Named>(`${path}/infer`, { schema: schemaOf("infer") }, async (request, reply) => {
        const startedAt = performance.now();
        const { model } = versionsOf(request.params);
        const infer = await readRequest(request);
        const inferred = await predict(model.name, infer, startedAt, deadlineOf(request));
        if (request.params.version !== undefined && inferred.version !== null) {
          checkVersion(model.name, request.params.version, inferred.version);
        }
        const { version, count, answers, parameters } = inferred;
        const answer = inferAnswer(model, version, count, answers, infer, parameters);
        const { body, encoding } = await encodeContent(answer.body, request.headers["accept-encoding"]);
        if (encoding !== null) reply.header("content-encoding", encoding);
        if (answer.headerLength === null) return sendBytes(reply, body);
        reply.header("inference-header-content-length", String(answer.headerLength));
        return reply.type("application/octet-stream").send(body);
      });
    }

    for (const [what, schema] of [
      ["load", openInferenceSchemas.load],
      ["unload", openInferenceSchemas.unload],
    ] as const) {
      v2.post<Named>(`/v2/repository/models/:name/${what}`, { schema, onRequest: admin }, async (request, reply) => {
        await api.models[what](request.params.name);
        return sendJson(reply, {});
      });
    }
  });

  /** @throws `MODEL_UNKNOWN`, `MODEL_VERSION_UNKNOWN` */
  function versionsOf({ name, version }: Named["Params"]): ModelVersions {
    const versions = api.models.get(name);
    const serving = versions.serving?.version.version;
    if (version !== undefined && serving !== undefined) checkVersion(name, version, serving);
    return versions;
  }

  async function readRequest(request: FastifyRequest): Promise<InferRequest> {
    if (!Buffer.isBuffer(request.body)) throw invalidRequest("The body", "a JSON object with inputs");
    // The header counts the bytes of the body as it was before compression.
    const body = await decodeContent(request.body, request.headers["content-encoding"], api.limits.bodyLimitBytes);
    const length = request.headers[HEADER_LENGTH];
    if (length === undefined) return readInferRequest(body, null);
    if (typeof length === "string" && /^\d{1,10}$/.test(length)) return readInferRequest(body, Number(length));
    throw invalidRequest("The header Inference-Header-Content-Length", "a number of bytes");
  }

  async function predict(
    name: string,
    request: InferRequest,
    startedAt: number,
    deadline: ReturnType<typeof deadlineOf>,
  ): Promise<Inferred> {
    const { service } = api.models.get(name).model;
    const rows = inferRows(api.features.service(service.name), request, api.limits.maxRows);
    if (rows.form === "features") {
      const { version, answers, fallback } = await api.models.predictWhole(name, rows.rows, { startedAt, ...deadline });
      return { version, answers, count: rows.rows.count, parameters: fallback ? { fallback } : {} };
    }
    const { lookups } = rows;
    const asOf = readMoment(request.parameters.as_of, "parameters.as_of");
    const exact = readFlag(request.parameters.exact, "parameters.exact");
    try {
      const done = await api.models.predict(
        name,
        { rows: lookups, exact, ...(asOf === undefined ? {} : { asOf }), ...deadline },
        startedAt,
      );
      return {
        version: done.version,
        answers: { kind: "rows", rows: done.predictions },
        count: lookups.length,
        parameters: {
          ...(done.asOf === null ? {} : { as_of: new Date(done.asOf).toISOString() }),
          ...(done.fallback ? { fallback: true } : {}),
          ...(done.headOverlap.includes(true) ? { head_overlap: done.headOverlap } : {}),
        },
      };
    } catch (error) {
      throw locateLookup(error, api.features, service.name, lookups);
    }
  }
}

function checkVersion(name: string, wanted: string, serving: string): void {
  if (wanted === serving) return;
  throw modelError(
    "MODEL_VERSION_UNKNOWN",
    `Version ${wanted.slice(0, 100)} of model '${name}' does not serve: ${serving} does. Ask without a version, or pin it.`,
    { details: { model: name, version: wanted, serving } },
  );
}

/** The protocol's own form; the code is ours. */
function sendInferenceError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, body, retryAfter } = toProblem(error, request.id);
  if (status >= 500) request.log.error({ err: error, route: request.routeOptions.url, status }, "request failed");
  if (retryAfter !== null) reply.header("retry-after", String(retryAfter));
  const { detail, code } = JSON.parse(body) as { readonly detail: string; readonly code: string };
  sendJson(reply.code(status), { error: detail, code });
}

function sendJson(reply: FastifyReply, answer: object): FastifyReply {
  return sendBytes(reply, JSON.stringify(answer));
}

/** JSON as bytes: to a text Fastify would add a charset to the type. */
function sendBytes(reply: FastifyReply, json: Buffer | string): FastifyReply {
  return reply.type(JSON_TYPE).send(typeof json === "string" ? Buffer.from(json) : json);
}
