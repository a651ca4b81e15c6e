import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { decodeContent } from "../content-encoding.ts";
import type { ModelVersions } from "../models/model-versions.ts";
import {
  checkVersion,
  INFERENCE_TYPE,
  inferenceProblem,
  inferModel,
  readJsonBytes,
} from "../open_inference/infer-model.ts";
import { modelConfig, modelMetadata } from "../open_inference/model-metadata.ts";
import { isObject, parseBody } from "../request-body.ts";
import { deadlineOf } from "../request-deadlines.ts";
import { openInferenceSchemas } from "../schemas/open-inference.ts";

const HEADER_LENGTH = "inference-header-content-length";

type Named = { readonly Params: { readonly name: string; readonly version?: string }; readonly Body: unknown };

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
        if (!Buffer.isBuffer(request.body)) throw invalidRequest("The body", "a JSON object with inputs");
        const { "content-encoding": encoding, "accept-encoding": acceptEncoding } = request.headers;
        // The header counts the bytes of the body as it was before compression.
        const whole = await decodeContent(request.body, encoding, api.limits.bodyLimitBytes);
        const { body, headers } = await inferModel(api, {
          model: model.name,
          version: request.params.version,
          body: whole,
          jsonBytes: readJsonBytes(request.headers[HEADER_LENGTH]),
          acceptEncoding,
          startedAt,
          deadline: deadlineOf(request),
        });
        reply.headers(headers);
        // To a text Fastify would add a charset to the type.
        return reply.send(typeof body === "string" ? Buffer.from(body) : body);
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
}

function sendInferenceError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, body, retryAfter } = inferenceProblem(error, request.id);
  if (status >= 500) request.log.error({ err: error, route: request.routeOptions.url, status }, "request failed");
  if (retryAfter !== null) reply.header("retry-after", String(retryAfter));
  sendBytes(reply.code(status), body);
}

function sendJson(reply: FastifyReply, answer: object): FastifyReply {
  return sendBytes(reply, JSON.stringify(answer));
}

/** JSON as bytes: to a text Fastify would add a charset to the type. */
function sendBytes(reply: FastifyReply, json: Buffer | string): FastifyReply {
  return reply.type(INFERENCE_TYPE).send(typeof json === "string" ? Buffer.from(json) : json);
}
