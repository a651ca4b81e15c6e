import {
  adminOnly,
  answers,
  type JsonSchema,
  listOf,
  maybeText,
  maybeTime,
  nameParam,
  objectOf,
  type RouteSchema,
  text,
  time,
} from "./problem.ts";

function orNull(schema: JsonSchema): JsonSchema {
  return { oneOf: [schema, { type: "null" }] };
}

const failure: JsonSchema = orNull(objectOf({ version: text, code: text, message: text, at: time }));
const slot: JsonSchema = orNull(
  objectOf({
    version: text,
    etag: text,
    flavor: text,
    loaded_at: time,
    load_seconds: { type: "number" },
    size_bytes: { type: "integer" },
    in_memory: { type: "boolean" },
  }),
);
export const column: JsonSchema = objectOf({ name: text, type: text, nullable: { type: "boolean" } }, ["nullable"]);
export const lookupColumn: JsonSchema = objectOf(
  {
    name: text,
    role: { type: "string", enum: ["key", "request"] },
    type: text,
    nullable: { type: "boolean" },
    values: listOf(text),
  },
  ["values"],
);

export const modelDescription: JsonSchema = {
  $id: "Model",
  ...objectOf({
    name: text,
    description: text,
    owner: text,
    tags: { type: "object", additionalProperties: text },
    service: text,
    inputs: listOf(lookupColumn, "What a row of a predict request holds."),
    outputs: listOf(column),
    timeout_ms: { type: ["number", "null"] },
    fallback: { type: ["object", "null"], additionalProperties: true },
    source: { type: "object", additionalProperties: true, description: "Where its versions come from." },
    status: { type: "string", enum: ["serving", "unavailable", "unloaded"] },
    is_failing: {
      type: "boolean",
      description: "A version that should serve cannot be loaded, or the versions cannot be listed.",
    },
    serving: slot,
    previous: slot,
    pinned: maybeText,
    versions: listOf(objectOf({ version: text, etag: maybeText, created_at: maybeTime, failure }), "Newest first."),
    last_failure: failure,
  }),
};

const one: JsonSchema = { $ref: "Model#" };

export const modelListSchema: RouteSchema = {
  tags: ["models"],
  summary: "List models",
  response: answers(200, objectOf({ models: listOf(one) })),
};
export const modelSchema: RouteSchema = {
  tags: ["models"],
  summary: "Describe a model",
  params: nameParam,
  response: answers(200, one),
};
export const rollbackSchema: RouteSchema = {
  tags: ["models"],
  summary: "Serve the previous version again",
  description: "The version that is left is not taken again; a newer one is.",
  params: nameParam,
  security: adminOnly,
  response: answers(200, one),
};
export const loadSchema: RouteSchema = {
  tags: ["models"],
  summary: "Look for new versions now, and bring the model into memory",
  description: "Versions that proved bad are tried again.",
  params: nameParam,
  security: adminOnly,
  response: answers(200, one),
};
export const unloadSchema: RouteSchema = {
  tags: ["models"],
  summary: "Take a model out of memory",
  description: "It answers nothing until it is loaded; requests in flight are finished.",
  params: nameParam,
  security: adminOnly,
  response: answers(200, one),
};
export const webhookSchema: RouteSchema = {
  tags: ["models"],
  summary: "Take a webhook of MLflow",
  description: "Signed: X-MLflow-Signature, X-MLflow-Delivery-Id, X-MLflow-Timestamp.",
  response: answers(
    202,
    objectOf({
      status: { type: "string", enum: ["taken", "repeated", "ignored"] },
      models: listOf(text, "Whose versions are looked for."),
    }),
  ),
};
export const pinSchema: RouteSchema = {
  tags: ["models"],
  summary: "Serve one version until told otherwise",
  params: nameParam,
  security: adminOnly,
  body: objectOf({ version: { ...maybeText, description: "Null: serve the newest again." } }),
  response: answers(200, one),
};
