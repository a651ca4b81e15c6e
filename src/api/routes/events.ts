import type { FastifyInstance } from "fastify";
import { millraceError } from "../../definitions/errors.ts";
import type { PushResult } from "../../ingestion/sources/http-push.ts";
import type { ApiContext } from "../api-context.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import { parseBody, readObject } from "../request-body.ts";
import { eventsSchema } from "../schemas/sources.ts";

const JSON_LINES = ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines"];
/** One message in the source's own format, such as Avro. */
const MESSAGE = "application/octet-stream";
const MAX_KEY_LENGTH = 256;

/**
 * `POST /v1/sources/{name}/events`. The body's text is handed on as it came: it is parsed in the write side's thread,
 * with all digits of its integers.
 */
export function eventRoutes(app: FastifyInstance, api: ApiContext): void {
  void app.register(async (events) => {
    events.removeAllContentTypeParsers();
    events.addContentTypeParser(["application/json", ...JSON_LINES], { parseAs: "string" }, (_request, body, done) =>
      done(null, body),
    );
    events.addContentTypeParser(MESSAGE, { parseAs: "buffer" }, (_request, body, done) => done(null, body));
    events.post<{ Params: { name: string }; Body: string | Buffer | undefined }>(
      "/v1/sources/:name/events",
      { schema: eventsSchema },
      async (request, reply) => {
        const { name } = request.params;
        checkSource(api, name);
        const isLines = JSON_LINES.some((type) => request.headers["content-type"]?.startsWith(type));
        const { body = "" } = request;
        const pushed = typeof body === "string" ? eventsIn(body, isLines) : new Uint8Array(body);
        const key = idempotencyKey(request.headers["idempotency-key"]);
        const result = await api.backend.push(name, pushed, key === undefined ? {} : { idempotencyKey: key });
        if (result.accepted === 0 && result.rejected.length > 0) throw allRejected(name, result);
        reply.code(202).type("application/json; charset=utf-8");
        return JSON.stringify(result);
      },
    );
  });
}

/** @throws `SOURCE_UNKNOWN` */
export function checkSource(api: ApiContext, name: string): void {
  const names = api.declarations.sources.map((source) => source.name);
  if (names.includes(name)) return;
  throw millraceError("SOURCE_UNKNOWN", `There is no source '${name}': declared are ${names.join(", ") || "none"}.`);
}

/** Text of a list or of lines as it is; of `{"events": […]}` the list. */
function eventsIn(text: string, isLines: boolean): string | readonly unknown[] {
  if (isLines) return text;
  const first = text.trimStart()[0];
  if (first === "[") return text;
  const { events } = readObject(parseBody(text), ["events"]);
  if (!Array.isArray(events)) throw invalidRequest("events", "a list of events");
  return events;
}

function idempotencyKey(header: string | readonly string[] | undefined): string | undefined {
  if (header === undefined) return undefined;
  if (typeof header === "string" && header !== "" && header.length <= MAX_KEY_LENGTH) return header;
  throw invalidRequest("The header Idempotency-Key", `a text of 1 to ${MAX_KEY_LENGTH} characters`);
}

function allRejected(source: string, { rejected, duplicate }: PushResult): Error {
  const first = rejected[0]!;
  return apiError(
    "EVENTS_REJECTED",
    `None of the ${rejected.length} events was accepted by source '${source}'. The first (index ${first.index}): ${first.reason}`,
    { details: { source, accepted: 0, rejected, duplicate } },
  );
}
