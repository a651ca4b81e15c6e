import { column, lookupColumn } from "./models.ts";
import { answers, type JsonSchema, listOf, maybeText, nameParam, objectOf, type RouteSchema, text } from "./problem.ts";

const about = { description: text, owner: text, tags: { type: "object", additionalProperties: text } };
const maybeNumber: JsonSchema = { type: ["number", "null"] };

const source = objectOf({
  name: text,
  kind: text,
  connector: text,
  columns: listOf(column),
  event_time: text,
  id: maybeText,
  version: maybeText,
  clock: { type: "string", enum: ["wall", "stream"] },
  lateness_seconds: { type: "number" },
  ...about,
});
const view = objectOf({
  name: text,
  version: text,
  source: text,
  entity: text,
  keys: listOf(objectOf({ name: text, type: text, column: text })),
  features: listOf(
    objectOf({
      name: text,
      type: text,
      nullable: { type: "boolean" },
      aggregation: text,
      window_seconds: maybeNumber,
      ttl_seconds: maybeNumber,
    }),
  ),
  ...about,
});
const service = objectOf({
  name: text,
  hash: text,
  lookup: listOf(lookupColumn),
  columns: listOf(objectOf({ name: text, type: text, nullable: { type: "boolean" }, feature: text })),
  views: listOf(text),
  fitted: listOf(text, "Features whose transforms learn from a training set."),
  labels: listOf(objectOf({ name: text, type: text }), "Columns of the training frame that transforms learn from."),
  ...about,
});

function list(tag: string, name: string, item: JsonSchema): RouteSchema {
  return { tags: [tag], summary: `List ${name}`, response: answers(200, objectOf({ [name]: listOf(item) })) };
}

function one(summary: string, item: JsonSchema): RouteSchema {
  return { tags: ["features"], summary, params: nameParam, response: answers(200, item) };
}

export const catalogSchemas: Readonly<Record<"sources" | "views" | "view" | "services" | "service", RouteSchema>> = {
  sources: list("sources", "sources", source),
  views: list("features", "views", view),
  view: one("Describe a feature view", view),
  services: list("features", "services", service),
  service: one("Describe a feature service", service),
};
