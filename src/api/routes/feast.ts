import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { millraceError } from "../../definitions/errors.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { compileMessageDecoder, type JsonMessageDecoder } from "../../ingestion/decoders/message-decoder.ts";
import { isDecodeFailure } from "../../ingestion/decoders/row-decoder.ts";
import { futureFailure } from "../../ingestion/future-failure.ts";
import { answerMemory } from "../answer-memory.ts";
import type { ApiContext } from "../api-context.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import { compileFeastAnswer, type FeastAnswer } from "../feast/feast-answer.ts";
import { toFeastError } from "../feast/feast-error.ts";
import { type FeastEvents, pushedEvents, writtenEvents } from "../feast/feast-events.ts";
import { readFeastFrame } from "../feast/feast-frame.ts";
import { isObject, type JsonObject, readChoice, readFlag, readName } from "../request-body.ts";
import { feastSchemas } from "../schemas/feast.ts";

/** Events of one push to the write side: the most that it takes at once. */
const MAX_PUSH = 10_000;
const JSON_TYPE = "application/json; charset=utf-8";

/**
 * The routes that Feast's client and its HTTP users call on `feast serve`, with Feast's names, forms and errors.
 * Members of a body that are not known here are ignored, as Feast does.
 */
export function feastRoutes(app: FastifyInstance, api: ApiContext): void {
  void app.register(async (feast) => {
    feast.setErrorHandler(sendFeastError);
    const answers = new WeakMap<ServiceRuntime, Map<boolean, FeastAnswer>>();
    const decoders = new WeakMap<SourceMeta, JsonMessageDecoder>();

    feast.post("/get-online-features", { schema: feastSchemas.read }, async (request, reply) => {
      const body = readBody(request.body);
      const isList = body.feature_service === undefined || body.feature_service === null;
      const service = isList
        ? api.features.featureList(readFeatures(body.features))
        : api.features.service(readName(body.feature_service, "feature_service"));
      const fullNames = readFlag(body.full_feature_names, "full_feature_names");
      const { columns, rows } = readFeastFrame(body.entities, "entities", api.limits.maxRows);
      const answer = answerOf(service, isList, fullNames);
      reply.type(JSON_TYPE);
      const lookups = lookupRows(service, columns, rows);
      const read = await api.features.getOnlineFeatures(service, { rows: lookups });
      const json = answer(read, columns, rows, body.include_feature_view_version_metadata === true);
      // A response is finished when the system has taken all of it.
      if (typeof json !== "string") reply.raw.once("finish", () => answerMemory.giveBack(json));
      return json;
    });

    feast.post("/push", { schema: feastSchemas.push }, async (request, reply) => {
      const body = readBody(request.body);
      const source = sourceOf(readName(body.push_source_name, "push_source_name"));
      // History is the truth and the hot store follows it: there is no way into one of them alone.
      if (body.to !== undefined) readChoice(body.to, "to", ["online", "offline", "online_and_offline"]);
      const frame = readFeastFrame(body.df, "df", api.limits.maxRows);
      await take(source, pushedEvents(source, frame), request);
      return reply.code(200).send();
    });

    feast.post("/write-to-online-store", { schema: feastSchemas.write }, async (request, reply) => {
      const body = readBody(request.body);
      const name = readName(body.feature_view_name, "feature_view_name");
      const view = api.features.views.get(name)?.layout.view;
      if (view === undefined) throw apiError("VIEW_UNKNOWN", `There is no feature view '${name}'.`);
      const frame = readFeastFrame(body.df, "df", api.limits.maxRows);
      await take(view.source, writtenEvents(view, frame), request);
      reply.type(JSON_TYPE);
      return "null";
    });

    feast.get("/health", { schema: feastSchemas.health }, async (_request, reply) =>
      reply.code(api.readiness().ready ? 200 : 503).send(),
    );

    for (const url of ["/search", "/retrieve-online-documents", "/materialize", "/materialize-incremental"]) {
      feast.post(url, { schema: { hide: true } }, async () => {
        throw apiError(
          "NOT_SUPPORTED",
          url.startsWith("/materialize")
            ? "Features are kept fresh as events come: nothing has to be materialized."
            : "Millrace has no vector search: ask a vector database for documents.",
        );
      });
    }

    function answerOf(service: ServiceRuntime, isList: boolean, fullNames: boolean): FeastAnswer {
      let known = answers.get(service);
      if (known === undefined) {
        known = new Map();
        answers.set(service, known);
      }
      const answer = known.get(fullNames) ?? compileFeastAnswer(service, isList, fullNames);
      known.set(fullNames, answer);
      return answer;
    }

    function sourceOf(name: string): SourceMeta {
      const found = api.declarations.sources.find((source) => source.name === name);
      if (found !== undefined) return found;
      throw millraceError("SOURCE_UNKNOWN", `There is no source '${name}': Feast's push sources are sources here.`);
    }

    /** All or nothing: events are checked before any is taken. Resolves when they are durable and readable. */
    async function take(source: SourceMeta, events: FeastEvents, request: FastifyRequest): Promise<void> {
      let decoder = decoders.get(source);
      if (decoder === undefined) {
        decoder = compileMessageDecoder(source.columns, { eventTime: source.eventTime });
        decoders.set(source, decoder);
      }
      const arrival = Date.now();
      const bound = source.clock === "stream" ? null : source.futureBoundMs;
      for (const [row, event] of events.entries()) {
        const decoded = decoder.decodeValue(event);
        const failure = isDecodeFailure(decoded)
          ? decoded
          : futureFailure(decoded[decoder.rows.eventTimeIndex] as number, arrival, bound);
        if (failure === null) continue;
        throw apiError("EVENTS_REJECTED", `Nothing was taken: row ${row} of df: ${failure.reason}`, {
          details: { source: source.name, row },
        });
      }
      const key = request.headers["idempotency-key"];
      for (let from = 0; from < events.length; from += MAX_PUSH) {
        const idempotent = typeof key === "string" && key !== "" ? { idempotencyKey: `${key}/${from}` } : {};
        await api.backend.push(source.name, events.slice(from, from + MAX_PUSH), { readable: true, ...idempotent });
      }
    }
  });
}

function readBody(body: unknown): JsonObject {
  if (!isObject(body)) throw invalidRequest("The body", "a JSON object");
  return body;
}

function readFeatures(value: unknown): readonly string[] {
  if (Array.isArray(value) && value.every((one) => typeof one === "string")) return value as string[];
  throw invalidRequest("features", "a list of 'view:feature', unless feature_service is given");
}

/** Rows of what the service looks up; further columns are only echoed, as in Feast. */
function lookupRows(
  service: ServiceRuntime,
  columns: ReadonlyMap<string, readonly unknown[]>,
  rows: number,
): Record<string, unknown>[] {
  const needed = service.service.lookup.map(({ name }) => ({ name, values: columns.get(name) }));
  return Array.from({ length: rows }, (_, row) => {
    const lookup: Record<string, unknown> = {};
    for (const { name, values } of needed) if (values !== undefined) lookup[name] = values[row];
    return lookup;
  });
}

function sendFeastError(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, body, retryAfter } = toFeastError(error, request.id);
  if (status >= 500) request.log.error({ err: error, route: request.routeOptions.url, status }, "request failed");
  if (retryAfter !== null) reply.header("retry-after", String(retryAfter));
  reply.code(status).type(JSON_TYPE).send(body);
}
