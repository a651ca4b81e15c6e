import { answers, listOf, nameParam, objectOf, type RouteSchema, text } from "./problem.ts";

const event = { type: "object", additionalProperties: true };

export const eventsSchema: RouteSchema = {
  tags: ["sources"],
  summary: "Push events",
  description:
    "Answers when the accepted events are durable. Events that do not fit the source's schema are listed as rejected and are not dead letters; if all were rejected the answer is 422. 503 with Retry-After: nothing was taken. Send an Idempotency-Key, and a repeated push is answered without being applied again.",
  params: nameParam,
  headers: {
    type: "object",
    properties: { "idempotency-key": { type: "string", maxLength: 256 } },
  },
  consumes: ["application/json", "application/x-ndjson", "application/octet-stream"],
  body: {
    description:
      'A JSON list of events, `{"events": […]}`, or one event per line; as application/octet-stream one message in the source\'s own format.',
    oneOf: [listOf(event), objectOf({ events: listOf(event) })],
  },
  response: answers(
    202,
    objectOf({
      accepted: { type: "integer" },
      rejected: listOf(objectOf({ index: { type: "integer" }, code: text, reason: text })),
      duplicate: { type: "boolean", description: "The idempotency key was known: this is the first push's answer." },
    }),
    "At least one event was accepted, or none was sent.",
  ),
};
