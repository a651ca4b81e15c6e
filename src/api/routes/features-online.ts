import type { FastifyInstance } from "fastify";
import type { FittedState } from "../../feature_engineering/transforms/fitted-state.ts";
import type { OnlineFeatures } from "../../feature_store/feature-store.ts";
import type { ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { locateLookup } from "../locate-lookup.ts";
import { readFlag, readMoment, readName, readObject, readRows } from "../request-body.ts";
import { onlineSchema } from "../schemas/features.ts";
import { rowsJson, timeJson } from "../value-json.ts";

const KNOWN = ["service", "rows", "as_of", "exact", "model"];

/** `POST /v1/features/online`: the rows of a feature service, now or at `as_of`, from the hot store. */
export function onlineFeatureRoutes(app: FastifyInstance, api: ApiContext): void {
  app.post("/v1/features/online", { schema: onlineSchema }, async (request, reply) => {
    const body = readObject(request.body, KNOWN);
    const { service } = api.features.service(readName(body.service, "service"));
    const rows = readRows(body.rows, api.limits.maxRows);
    const asOf = readMoment(body.as_of, "as_of");
    const exact = readFlag(body.exact, "exact");
    const fitted = body.model === undefined ? null : await fittedOf(api, readName(body.model, "model"), service.name);
    let read: OnlineFeatures;
    try {
      const moment = asOf === undefined ? {} : { asOf };
      read = await api.features.getOnlineFeatures(service.name, { rows, exact, fitted, ...moment });
    } catch (error) {
      throw locateLookup(error, api.features, service.name, rows);
    }
    reply.type("application/json; charset=utf-8");
    const columns = JSON.stringify(read.columns.map(({ name }) => name));
    const types = JSON.stringify(read.columns.map(({ type }) => type.kind));
    const overlap = read.headOverlap.includes(true) ? `,"head_overlap":${JSON.stringify(read.headOverlap)}` : "";
    return (
      `{"service":${JSON.stringify(service.name)},"as_of":${timeJson(read.asOf)},"columns":${columns},"types":${types},` +
      `"rows":${rowsJson(read.rows, read.columns)},"statuses":${JSON.stringify(read.statuses)}${overlap}}`
    );
  });
}

/** The fitted state of a model's serving version. @throws `REQUEST_INVALID` if it reads another service */
export async function fittedOf(api: ApiContext, model: string, service: string): Promise<FittedState | null> {
  const declared = api.models.get(model).model.service.name;
  if (declared !== service)
    throw invalidRequest("model", `one that reads service '${service}'; '${model}' reads '${declared}'`);
  return api.models.fitted(model);
}
