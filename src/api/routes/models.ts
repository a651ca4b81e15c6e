import type { FastifyInstance } from "fastify";
import type { ModelLocation } from "../../definitions/model.ts";
import type { AdminGuard, ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import type { ModelVersions } from "../models/model-versions.ts";
import type { VersionFailure, VersionSlot } from "../models/version-loader.ts";
import { readObject } from "../request-body.ts";
import {
  loadSchema,
  modelListSchema,
  modelSchema,
  pinSchema,
  rollbackSchema,
  unloadSchema,
} from "../schemas/models.ts";

/** Which models there are, which of their versions serve, and going back to another. */
export function modelRoutes(app: FastifyInstance, api: ApiContext, admin: AdminGuard): void {
  app.get("/v1/models", { schema: modelListSchema }, async () => ({ models: api.models.list().map(describe) }));

  app.get<{ Params: { name: string } }>("/v1/models/:name", { schema: modelSchema }, async (request) =>
    describe(api.models.get(request.params.name)),
  );

  app.post<{ Params: { name: string } }>(
    "/v1/models/:name/rollback",
    { schema: rollbackSchema, onRequest: admin },
    async (request) => {
      await api.models.rollback(request.params.name);
      return describe(api.models.get(request.params.name));
    },
  );

  for (const act of ["load", "unload"] as const) {
    app.post<{ Params: { name: string } }>(
      `/v1/models/:name/${act}`,
      { schema: act === "load" ? loadSchema : unloadSchema, onRequest: admin },
      async (request) => {
        await api.models[act](request.params.name);
        return describe(api.models.get(request.params.name));
      },
    );
  }

  app.post<{ Params: { name: string } }>(
    "/v1/models/:name/pin",
    { schema: pinSchema, onRequest: admin },
    async (request) => {
      const { version } = readObject(request.body, ["version"]);
      if (version !== null && typeof version !== "string") throw invalidRequest("version", "a version's name, or null");
      await api.models.pin(request.params.name, version);
      return describe(api.models.get(request.params.name));
    },
  );
}

function describe(versions: ModelVersions): object {
  const { model, serving, previous, pinned, known, lastFailure } = versions;
  return {
    name: model.name,
    description: model.description,
    owner: model.owner,
    tags: model.tags,
    service: model.service.name,
    inputs: model.service.lookup.map(({ name, role, type }) => ({
      name,
      role,
      type: type.kind,
      nullable: type.nullable,
    })),
    outputs: model.output.map(({ name, type }) => ({ name, type: type.kind })),
    timeout_ms: model.timeoutMs,
    fallback: model.fallback,
    source: describeLocation(model.location),
    status: versions.isUnloaded ? "unloaded" : serving === null ? "unavailable" : "serving",
    is_failing: versions.isFailing,
    serving: describeSlot(serving),
    previous: describeSlot(previous),
    pinned,
    versions: known.map((version) => ({
      version: version.version,
      etag: version.etag,
      created_at: isoTime(version.createdAt),
      failure: describeFailure(versions.failureOf(version)),
    })),
    last_failure: describeFailure(lastFailure),
  };
}

/** Without addresses, which are the operator's. */
function describeLocation(location: ModelLocation): object {
  const { location: kind } = location;
  const scoring = "scoring" in location && location.scoring !== null ? { scoring: location.scoring } : {};
  if (location.location !== "mlflow") return { kind, ...scoring };
  const { server, name, follow } = location;
  return { kind, server, name, follow: follow === "newest" ? { newest: true } : follow, ...scoring };
}

function describeSlot(slot: VersionSlot | null): object | null {
  if (slot === null) return null;
  return {
    version: slot.version.version,
    etag: slot.version.etag,
    flavor: slot.flavor,
    loaded_at: isoTime(slot.loadedAt),
    load_seconds: slot.loadSeconds,
    size_bytes: slot.sizeBytes,
    in_memory: slot.resident !== null,
  };
}

function describeFailure(failure: VersionFailure | null): object | null {
  return failure === null ? null : { ...failure, at: isoTime(failure.at) };
}

function isoTime(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
