import { adminOnly, type JsonSchema, listOf, objectOf, type RouteSchema, text } from "./problem.ts";

const parameters: JsonSchema = { type: "object", additionalProperties: true };
const shape: JsonSchema = listOf({ type: "integer" });
const datatype: JsonSchema = {
  type: "string",
  enum: [
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
  ],
};
const tensor: JsonSchema = objectOf({ name: text, datatype, shape });
const data: JsonSchema = {
  type: "array",
  items: {},
  description: "The elements in row-major order, nested or not. Absent if they are binary.",
};
const described: JsonSchema = objectOf(
  {
    name: text,
    versions: listOf(text, "The version that serves."),
    platform: text,
    inputs: listOf(tensor, "What the model reads."),
    outputs: listOf(tensor),
    parameters: { ...parameters, description: "`keys`: the columns that are looked up instead." },
  },
  ["versions", "parameters"],
);
const inferRequest: JsonSchema = objectOf(
  {
    id: text,
    parameters: {
      ...parameters,
      description:
        "`rows`: `features` or `keys`, where the inputs' names leave it open. `as_of`, `exact`: as in /v1/models/{name}/predict, for keys. `binary_data_output`: all outputs in binary.",
    },
    inputs: listOf(
      objectOf({ name: text, shape, datatype, parameters, data }, ["parameters", "data"]),
      "One tensor of shape [rows, columns], or one of shape [rows] or [rows, 1] per column.",
    ),
    outputs: listOf(objectOf({ name: text, parameters }, ["parameters"]), "Default: all."),
  },
  ["id", "parameters", "outputs"],
);
const inferAnswer: JsonSchema = objectOf(
  {
    model_name: text,
    model_version: text,
    id: text,
    parameters,
    outputs: listOf(objectOf({ name: text, datatype, shape, parameters, data }, ["parameters", "data"])),
  },
  ["id", "parameters"],
);
const failed: JsonSchema = {
  description: "What went wrong.",
  content: { "application/json": { schema: objectOf({ error: text, code: text }) } },
};

function answered(schema: JsonSchema, description = "Done."): Readonly<Record<string, JsonSchema>> {
  return {
    200: { description, content: { "application/json": { schema } } },
    "4xx": failed,
    "5xx": failed,
  };
}

const tags = ["open inference protocol"];
const params: JsonSchema = {
  type: "object",
  required: ["name"],
  properties: { name: text },
};

/** The Open Inference Protocol. */
export const openInferenceSchemas: Readonly<
  Record<"server" | "live" | "ready" | "index" | "load" | "unload" | "model" | "modelReady" | "infer", RouteSchema>
> = {
  server: {
    tags,
    summary: "The server's name, version and extensions",
    response: answered(objectOf({ name: text, version: text, extensions: listOf(text) })),
  },
  live: { tags, summary: "Whether the server lives", response: answered(objectOf({ live: { type: "boolean" } })) },
  ready: {
    tags,
    summary: "Whether the server should get requests",
    response: { ...answered(objectOf({ ready: { type: "boolean" } })), 503: { description: "Not ready." } },
  },
  index: {
    tags,
    summary: "The models and their states",
    description: "Triton's model repository extension.",
    response: answered(
      listOf(
        objectOf({
          name: text,
          version: text,
          state: { type: "string", enum: ["READY", "UNAVAILABLE"] },
          reason: text,
        }),
      ),
    ),
  },
  load: {
    tags,
    security: adminOnly,
    summary: "Look for a newer version, and bring the model into memory",
    params,
    response: answered(objectOf({})),
  },
  unload: {
    tags,
    security: adminOnly,
    summary: "Free the model's memory",
    description: "It answers nothing until it is loaded.",
    params,
    response: answered(objectOf({})),
  },
  model: {
    tags,
    summary: "What a model reads and answers",
    description: "Also as /v2/models/{name}/versions/{version}, for the version that serves.",
    params,
    response: answered(described),
  },
  modelReady: {
    tags,
    summary: "Whether a version of the model serves",
    params,
    response: { ...answered(objectOf({ name: text, ready: { type: "boolean" } })), 503: { description: "None does." } },
  },
  infer: {
    tags,
    summary: "Predict",
    description:
      "Rows come whole, with all columns that the model reads, or as entity keys and request columns with which the features are looked up. Tensors may be binary (Inference-Header-Content-Length), bodies compressed with gzip or deflate.",
    params,
    body: inferRequest,
    response: answered(inferAnswer, "The outputs, each of shape [rows, 1]."),
  },
};
