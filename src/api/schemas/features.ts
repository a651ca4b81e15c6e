import { asOf, exact, headOverlap, lookupRows } from "./predict.ts";
import { answers, type JsonSchema, listOf, objectOf, problem, type RouteSchema, text, time } from "./problem.ts";

const model: JsonSchema = {
  type: "string",
  description: "Take what the service's transforms learned from this model's serving version.",
};
const columns: JsonSchema = listOf(text, "Names, in the order of the values.");
const types: JsonSchema = listOf(text, "The type of each column.");
const values: JsonSchema = listOf({ type: "array", items: {} }, "Per row, one value per column.");

export const onlineSchema: RouteSchema = {
  tags: ["features"],
  summary: "Read features, now",
  description:
    "The rows of a feature service from the hot store. A service with fitted transforms needs `model`. With `Accept: application/vnd.apache.arrow.stream` the answer is an Arrow IPC stream: a column per feature, `feature:status` per feature, `:head_overlap`; `millrace.service` and `millrace.as_of` in the schema's metadata.",
  body: objectOf({ service: text, rows: lookupRows, as_of: asOf, exact, model }, ["as_of", "exact", "model"]),
  response: answers(
    200,
    objectOf(
      {
        service: text,
        as_of: time,
        columns,
        types,
        rows: values,
        statuses: listOf(listOf({ $ref: "FeatureStatus#" })),
        head_overlap: headOverlap,
      },
      ["head_overlap"],
    ),
    "The features.",
  ),
};

const binary: JsonSchema = { type: "string", format: "binary" };

export const historicalSchema: RouteSchema = {
  tags: ["features"],
  summary: "Make a training set",
  description:
    "The features of each row as they were at its `event_timestamp`, point-in-time correct. Transforms are fitted on these rows, or, with `model`, applied as that model learned them. What was fitted comes as `millrace` in JSON, for files in the header `millrace-manifest` (base64url of JSON) or, above 8 KiB, at the path in `millrace-manifest-location`, and in the metadata of Parquet and Arrow files under `millrace`: log it as millrace.json with the model.",
  body: objectOf(
    {
      service: text,
      rows: {
        ...lookupRows,
        description:
          "Lookup columns, `event_timestamp` (ISO 8601 with a zone, or epoch milliseconds), and whatever is to be carried along, such as labels.",
      },
      knowledge: {
        type: "string",
        enum: ["event_time", "ingested_at"],
        default: "event_time",
        description: "Count what had happened by then, or only what had also arrived by then.",
      },
      format: { type: "string", enum: ["json", "parquet", "csv", "arrow"], default: "json" },
      model,
    },
    ["knowledge", "format", "model"],
  ),
  response: {
    200: {
      description: "The training set.",
      headers: {
        "millrace-manifest": { schema: text, description: "base64url of the manifest's JSON." },
        "millrace-manifest-location": { schema: text, description: "Where a long manifest is." },
      },
      content: {
        "application/json": {
          schema: objectOf({
            service: text,
            columns,
            types,
            rows: values,
            millrace: { type: "object", additionalProperties: true },
          }),
        },
        "application/vnd.apache.parquet": { schema: binary },
        "text/csv": { schema: text },
        "application/vnd.apache.arrow.file": { schema: binary },
      },
    },
    "4xx": problem,
    "5xx": problem,
  },
};

export const manifestSchema: RouteSchema = {
  tags: ["features"],
  summary: "Fetch the manifest of a training set",
  response: answers(200, { type: "object", additionalProperties: true }, "What was fitted."),
};
