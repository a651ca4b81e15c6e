import { adminOnly, answers, listOf, maybeText, objectOf, type RouteSchema, text, time } from "./problem.ts";

const kind = { type: "string", enum: ["entity", "source", "view", "service", "model", "outcome"] };
const any = { type: "object", additionalProperties: true };
const version = { version: { type: "integer", minimum: 1 }, hash: text, applied_at: time };
const entry = {
  kind,
  name: text,
  hash: maybeText,
  owner: text,
  tags: { type: "object", additionalProperties: text },
  description: text,
};
const node = objectOf({ kind, name: text, version: maybeText });
const at = { ...text, description: "A version of the plan: its number, its hash, or `current` (default)." };
const about = { tags: ["registry"], security: adminOnly };
const params = objectOf({ name: text });

export const registrySchemas: Readonly<
  Record<"search" | "entry" | "lineage" | "versions" | "version" | "diff" | "served", RouteSchema>
> = {
  search: {
    ...about,
    summary: "List or search what a plan declares",
    querystring: {
      type: "object",
      properties: {
        kind,
        owner: text,
        tag: { ...text, description: "`name`, or `name=value`." },
        text: { ...text, description: "Words that must all be in a name, description, owner, tag, column or feature." },
        at,
      },
    },
    response: answers(200, objectOf({ ...version, entries: listOf(objectOf({ ...entry, found: listOf(text) })) })),
  },
  entry: {
    ...about,
    summary: "Show one entry, whole",
    params,
    querystring: { type: "object", properties: { kind, at } },
    response: answers(200, objectOf({ ...version, kind, entry: any })),
  },
  lineage: {
    ...about,
    summary: "What an entry reads and who reads it, down to columns",
    params,
    querystring: {
      type: "object",
      properties: { kind, column: { ...text, description: "One column of a source, or one feature." }, at },
    },
    response: answers(
      200,
      objectOf({
        ...version,
        node,
        upstream: listOf(node),
        downstream: listOf(node),
        edges: listOf(objectOf({ from: node, to: node })),
        columns: listOf(
          objectOf({
            kind,
            name: text,
            feature: text,
            features: { ...listOf(text), description: "`view.feature`" },
            columns: { ...listOf(text), description: "`source.column`, through views and derives." },
            request: listOf(text),
          }),
        ),
      }),
    ),
  },
  versions: {
    ...about,
    summary: "List the versions of the plan, oldest first",
    response: answers(200, objectOf({ versions: listOf(objectOf(version)) })),
  },
  version: {
    ...about,
    summary: "Show a version of the plan",
    params: objectOf({ version: at }),
    response: answers(200, objectOf({ ...version, plan: any })),
  },
  diff: {
    ...about,
    summary: "What changed between two versions of the plan",
    querystring: { type: "object", properties: { from: at, to: at }, required: ["from"] },
    response: answers(
      200,
      objectOf({ from: objectOf(version), to: objectOf(version), meaning: text, changes: listOf(any), text }),
    ),
  },
  served: {
    ...about,
    summary: "The model versions that served, with what they read",
    response: answers(
      200,
      objectOf({
        served_models: listOf(
          objectOf({
            model: text,
            version: text,
            service: text,
            service_hash: text,
            plan_hash: maybeText,
            served_at: time,
          }),
        ),
      }),
    ),
  },
};
