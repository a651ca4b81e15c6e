import type { FastifyInstance } from "fastify";
import type { FittedState } from "../../feature_engineering/transforms/fitted-state.ts";
import type { OnlineFeatures } from "../../feature_store/feature-store.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import type { ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { ARROW_STREAM, onlineArrow } from "../arrow-online.ts";
import { locateLookup } from "../locate-lookup.ts";
import { compileOnlineJson, type OnlineJson } from "../online-json.ts";
import { readFlag, readMoment, readName, readObject, readRows } from "../request-body.ts";
import { onlineSchema } from "../schemas/features.ts";

const KNOWN = ["service", "rows", "as_of", "exact", "model"];

/** `POST /v1/features/online`: the rows of a feature service, now or at `as_of`, from the hot store, as JSON or as Arrow. */
export function onlineFeatureRoutes(app: FastifyInstance, api: ApiContext): void {
  const writers = new WeakMap<ServiceRuntime, OnlineJson>();
  app.post("/v1/features/online", { schema: onlineSchema }, async (request, reply) => {
    const body = readObject(request.body, KNOWN);
    // Declarations may be taken over meanwhile: this request keeps those that it began with.
    const { features } = api;
    const service = features.service(readName(body.service, "service"));
    const { name } = service.service;
    const rows = readRows(body.rows, api.limits.maxRows);
    const asOf = readMoment(body.as_of, "as_of");
    const exact = readFlag(body.exact, "exact");
    const fitted = body.model === undefined ? null : await fittedOf(api, readName(body.model, "model"), name);
    let read: OnlineFeatures;
    try {
      const moment = asOf === undefined ? {} : { asOf };
      read = await features.getOnlineFeatures(service, { rows, exact, fitted, ...moment });
    } catch (error) {
      throw locateLookup(error, features, name, rows);
    }
    if (request.headers.accept?.includes(ARROW_STREAM)) {
      reply.type(ARROW_STREAM);
      return onlineArrow(read);
    }
    reply.type("application/json; charset=utf-8");
    let json = writers.get(service);
    if (json === undefined) {
      json = compileOnlineJson(service);
      writers.set(service, json);
    }
    return json(read);
  });
}

/** The fitted state of a model's serving version. @throws `REQUEST_INVALID` if it reads another service */
export async function fittedOf(api: ApiContext, model: string, service: string): Promise<FittedState | null> {
  const declared = api.models.get(model).model.service.name;
  if (declared !== service)
    throw invalidRequest("model", `one that reads service '${service}'; '${model}' reads '${declared}'`);
  return api.models.fitted(model);
}
