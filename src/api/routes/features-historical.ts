import { randomUUID } from "node:crypto";
import type { FastifyInstance } from "fastify";
import type { Value } from "../../definitions/value.ts";
import type { ApiContext } from "../api-context.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import { type JsonObject, readChoice, readName, readObject, readRows } from "../request-body.ts";
import { historicalSchema, manifestSchema } from "../schemas/features.ts";
import { rowsJson } from "../value-json.ts";
import { fittedOf } from "./features-online.ts";

const KNOWN = ["service", "rows", "knowledge", "format", "model"];
/** Proxies refuse longer headers. */
const MAX_HEADER_BYTES = 8_192;
/** Manifests that are too long for a header can be fetched for a while. */
const MAX_MANIFESTS = 100;
const MAX_LIST_DEPTH = 4;

const FILE_TYPES = {
  parquet: "application/vnd.apache.parquet",
  csv: "text/csv; charset=utf-8",
  arrow: "application/vnd.apache.arrow.file",
} as const;

/** `POST /v1/features/historical`: training sets, point-in-time correct, for notebooks. */
export function historicalFeatureRoutes(app: FastifyInstance, api: ApiContext): void {
  const manifests = new Map<string, object>();
  const keep = (manifest: object): string => {
    const id = randomUUID();
    manifests.set(id, manifest);
    if (manifests.size > MAX_MANIFESTS) manifests.delete(manifests.keys().next().value!);
    return id;
  };
  app.get<{ Params: { readonly id: string } }>("/v1/manifests/:id", { schema: manifestSchema }, async (request) => {
    const found = manifests.get(request.params.id);
    if (found === undefined) {
      throw apiError(
        "MANIFEST_UNKNOWN",
        "There is no such manifest any more: it also lies in Parquet and Arrow files.",
      );
    }
    return found;
  });
  app.post("/v1/features/historical", { schema: historicalSchema }, async (request, reply) => {
    const body = readObject(request.body, KNOWN);
    const { service } = api.features.service(readName(body.service, "service"));
    const rows = readRows(body.rows, api.limits.maxRows);
    checkFlat(rows);
    const knowledge = readChoice(body.knowledge ?? "event_time", "knowledge", ["event_time", "ingested_at"]);
    const format = readChoice(body.format ?? "json", "format", ["json", "parquet", "csv", "arrow"]);
    const fitted = body.model === undefined ? null : await fittedOf(api, readName(body.model, "model"), service.name);
    const set = await api.backend.trainingSet(
      service.name,
      { rows, knowledge, ...(fitted === null ? {} : { fitted }) },
      format === "json" ? "rows" : format,
    );
    if (format === "json") {
      reply.type("application/json; charset=utf-8");
      const columns = set.columns.map(({ name, kind, item }) => ({
        name,
        type: { kind: kind as "string", ...(item === null ? {} : { item }) },
      }));
      const names = JSON.stringify(set.columns.map(({ name }) => name));
      const types = JSON.stringify(set.columns.map(({ kind }) => kind));
      // The write side gives values of the columns' types.
      const values = rowsJson((set.rows ?? []) as readonly (readonly Value[])[], columns);
      return `{"service":${JSON.stringify(service.name)},"columns":${names},"types":${types},"rows":${values},"millrace":${JSON.stringify(set.manifest)}}`;
    }
    const manifest = Buffer.from(JSON.stringify(set.manifest), "utf8").toString("base64url");
    if (manifest.length <= MAX_HEADER_BYTES) reply.header("millrace-manifest", manifest);
    else reply.header("millrace-manifest-location", `/v1/manifests/${keep(set.manifest)}`);
    reply.type(FILE_TYPES[format]);
    reply.header("content-disposition", `attachment; filename="${service.name}.${format}"`);
    const bytes = set.bytes ?? new Uint8Array();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  });
}

/** Rows hold values and lists of values: what is nested otherwise fits no column. */
function checkFlat(rows: readonly JsonObject[]): void {
  for (let i = 0; i < rows.length; i++) {
    for (const [name, value] of Object.entries(rows[i]!)) {
      if (typeof value === "object" && !isFlat(value, MAX_LIST_DEPTH)) {
        throw invalidRequest(`rows[${i}].${name}`, "a value, or a list of values");
      }
    }
  }
}

function isFlat(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Array.isArray(value) && value.every((item) => isFlat(item, depth - 1));
}
