import { type JsonSchema, listOf, nothing, type RouteSchema, text } from "./problem.ts";

const frame: JsonSchema = {
  type: "object",
  description: "Columns by name, all of one length.",
  additionalProperties: { type: "array", items: {} },
};
/** A body of Feast's: members that are not listed are ignored. */
function body(properties: Readonly<Record<string, JsonSchema>>, required: readonly string[]): JsonSchema {
  return { type: "object", required, properties, additionalProperties: true };
}
const failed: JsonSchema = {
  description:
    "An error as Feast's client reads it: a JSON string that holds JSON with `module`, `class`, `message` and our `code`.",
  content: { "application/json": { schema: text } },
};
const errors = { "4xx": failed, "5xx": failed };

/** The routes of Feast's feature server. */
export const feastSchemas: Readonly<Record<"read" | "push" | "write" | "health", RouteSchema>> = {
  read: {
    tags: ["feast"],
    summary: "Read features, as Feast",
    description:
      "Features by `view:feature` or by feature service, now. Answers by columns: first the entities, then the features. Doubles have a point, int64 all digits, timestamps are epoch seconds.",
    body: body(
      {
        entities: frame,
        features: listOf(text, "`view:feature`; or name a feature_service."),
        feature_service: { type: ["string", "null"] },
        full_feature_names: { type: "boolean", default: false, description: "`view__feature` instead of `feature`." },
      },
      ["entities"],
    ),
    response: {
      200: {
        description: "The features.",
        content: {
          "application/json": {
            schema: body(
              {
                metadata: body({ feature_names: listOf(text) }, ["feature_names"]),
                results: listOf(
                  body(
                    {
                      values: listOf({}),
                      statuses: listOf({ $ref: "FeatureStatus#" }),
                      event_timestamps: listOf(
                        { type: "string", format: "date-time" },
                        "The entity's latest event in the view; the epoch if there is none.",
                      ),
                    },
                    ["values", "statuses", "event_timestamps"],
                  ),
                ),
              },
              ["metadata", "results"],
            ),
          },
        },
      },
      ...errors,
    },
  },
  push: {
    tags: ["feast"],
    summary: "Push events, as Feast",
    description:
      "Rows become events of the source `push_source_name`; all or none is taken. Answers when they are durable and can be read. `to` may be any of Feast's three: history and the hot store always both get them.",
    body: body({ push_source_name: text, df: frame, to: { enum: ["online", "offline", "online_and_offline"] } }, [
      "push_source_name",
      "df",
    ]),
    response: { 200: { description: "Taken." }, ...errors },
  },
  write: {
    tags: ["feast"],
    summary: "Write features, as Feast",
    description:
      "Rows of a view's keys and features become events of its source. Only features that are the latest value of a column can be written; a computed one is refused with FEATURE_COMPUTED.",
    body: body({ feature_view_name: text, df: frame }, ["feature_view_name", "df"]),
    response: { 200: { description: "Taken." }, ...errors },
  },
  health: {
    tags: ["feast"],
    summary: "Whether it serves, as Feast",
    description: "200 or, while views are being filled, 503; without a body.",
    response: { 200: nothing("It serves."), 503: nothing("Not yet.") },
  },
};
