import { adminOnly, answers, listOf, moment, objectOf, type RouteSchema, text, time } from "./problem.ts";

const count = { type: "integer", minimum: 0 };
const filter = {
  type: "object",
  properties: {
    model: text,
    from: moment,
    limit: { type: "integer", minimum: 1, maximum: 10_000, default: 100 },
    before_id: { type: "integer", minimum: 1, description: "The next page: only records before this one." },
  },
};

export const predictionSchemas: Readonly<Record<"list" | "check", RouteSchema>> = {
  list: {
    tags: ["predictions"],
    summary: "List logged predictions, newest first",
    security: adminOnly,
    querystring: filter,
    response: answers(
      200,
      objectOf({
        predictions: listOf(
          objectOf({
            id: count,
            model: text,
            version: text,
            service: text,
            at: time,
            as_of: time,
            inputs: { type: "array", items: {}, description: "What was read, before transforms." },
            statuses: listOf(text),
            checkable: { type: "boolean" },
          }),
        ),
      }),
    ),
  },
  check: {
    tags: ["predictions"],
    summary: "Compute logged predictions again from the events that were applied then",
    security: adminOnly,
    body: filter,
    response: answers(
      200,
      objectOf({
        predictions: count,
        values: count,
        mismatches: count,
        skipped: count,
        services: listOf(objectOf({ service: text, equal: count, different: count, unknown: count })),
        examples: listOf({ type: "object", additionalProperties: true }),
      }),
    ),
  },
};
