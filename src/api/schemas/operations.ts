import {
  adminOnly,
  answers,
  listOf,
  maybeText,
  maybeTime,
  moment,
  nothing,
  objectOf,
  problem,
  type RouteSchema,
  text,
  time,
} from "./problem.ts";

const integer = { type: "integer" };

export const operationSchemas: Readonly<
  Record<"status" | "reset" | "deadLetters" | "removeDeadLetters" | "advance" | "release", RouteSchema>
> = {
  status: {
    tags: ["sources"],
    summary: "How ingestion goes",
    response: answers(
      200,
      objectOf({
        sources: listOf(
          objectOf({
            source: text,
            state: text,
            messages: integer,
            dead_letters: integer,
            batches: integer,
            retries: integer,
            last_event_time: maybeTime,
            last_error: maybeText,
            clock: maybeTime,
            partitions: listOf(
              objectOf({
                partition: text,
                owner: { ...maybeText, description: "`host:pid` of the process that reads it." },
                committed: { ...integer, description: "The last offset in the cold store; -1: none." },
                last_offset: { type: ["integer", "null"] },
                last_event_time: maybeTime,
                lag_messages: { type: ["integer", "null"], description: "Messages not handled yet." },
                lag_seconds: { type: ["number", "null"], description: "How long ago the next one came, or its age." },
              }),
            ),
          }),
        ),
      }),
    ),
  },
  reset: {
    tags: ["sources"],
    summary: "Move where a source is read on",
    description:
      "Refused while a process reads it. Back: what history has already changes nothing. Forward: what lies between is not read.",
    security: adminOnly,
    params: objectOf({ name: text }),
    body: {
      type: "object",
      required: ["to"],
      properties: {
        to: {
          description: "`earliest`, `latest`, a moment, or the next offset of some partitions by name.",
        },
        dry_run: { type: "boolean", default: false },
      },
    },
    response: answers(
      200,
      objectOf({
        partitions: listOf(
          objectOf({
            partition: text,
            before: { type: ["integer", "null"], description: "The offset that would have been read next." },
            after: { type: ["integer", "null"], description: "The one that is read next." },
          }),
        ),
      }),
    ),
  },
  deadLetters: {
    tags: ["sources"],
    summary: "List dead letters, newest first",
    querystring: {
      type: "object",
      properties: { source: text, limit: { type: "integer", minimum: 1, maximum: 10_000, default: 100 } },
    },
    response: answers(
      200,
      objectOf({
        dead_letters: listOf(
          objectOf({
            id: integer,
            source: text,
            partition: text,
            offset: integer,
            code: text,
            reason: text,
            at: time,
            bytes: { type: "string", contentEncoding: "base64", description: "What came." },
            text: { ...maybeText, description: "The same, where it is UTF-8." },
          }),
        ),
      }),
    ),
    security: adminOnly,
  },
  removeDeadLetters: {
    tags: ["sources"],
    summary: "Remove dead letters",
    security: adminOnly,
    body: objectOf({ ids: listOf(integer) }),
    response: { 204: nothing("Removed."), "4xx": problem, "5xx": problem },
  },
  advance: {
    tags: ["replay"],
    summary: "Let held replays go on to a moment",
    description: "Answers when every event before it is readable.",
    security: adminOnly,
    body: objectOf({ to: moment }),
    response: answers(200, objectOf({ to: time })),
  },
  release: {
    tags: ["replay"],
    summary: "Let held replays go on to their end",
    security: adminOnly,
    response: answers(200, objectOf({ status: text })),
  },
};
