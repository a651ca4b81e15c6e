import { type JsonSchema, listOf, nameParam, objectOf, type RouteSchema, text } from "./problem.ts";

const failed: JsonSchema = {
  description: "What went wrong, in MLflow's form.",
  content: { "application/json": { schema: objectOf({ error_code: text, message: text }) } },
};
const record: JsonSchema = { type: "object", additionalProperties: true };
const body: JsonSchema = {
  ...objectOf(
    {
      dataframe_split: objectOf(
        { columns: listOf(text), data: listOf({ type: "array", items: {} }), index: listOf({}) },
        ["index"],
      ),
      dataframe_records: listOf(record),
      instances: { description: "Records, or an object of lists by column." },
      inputs: { description: "Records, or an object of lists by column." },
      params: {
        ...record,
        description:
          "`rows`: `features` or `keys`, where the columns leave it open. `as_of`, `exact`: as in /v1/models/{name}/predict, for keys.",
      },
    },
    ["dataframe_split", "dataframe_records", "instances", "inputs", "params"],
  ),
  description: "Exactly one of the four forms.",
};
const response: Readonly<Record<string, JsonSchema>> = {
  200: {
    description: "A prediction per row: a value, or a list where the model answers several.",
    content: { "application/json": { schema: objectOf({ predictions: listOf({}) }) } },
  },
  "4xx": failed,
  "5xx": failed,
};
const tags = ["mlflow scoring"];
const description =
  "MLflow's scoring protocol, as JSON or text/csv. Rows come whole, with all columns that the model reads, or as entity keys and request columns with which the features are looked up. Further columns are ignored.";

/** MLflow's scoring server. */
export const mlflowScoringSchemas: Readonly<
  Record<"ping" | "version" | "invocations" | "modelInvocations", RouteSchema>
> = {
  ping: {
    tags,
    summary: "Whether the server should get requests",
    response: { 200: { description: "Ready." }, 503: { description: "Not ready." } },
  },
  version: {
    tags,
    summary: "Millrace's version",
    response: { 200: { description: "The version.", content: { "text/plain": { schema: { type: "string" } } } } },
  },
  invocations: {
    tags,
    summary: "Predict with the default model",
    description: `${description} The model is the configured default, or the only one.`,
    body,
    response,
  },
  modelInvocations: { tags, summary: "Predict", description, params: nameParam, body, response },
};
