import {
  answers,
  type JsonSchema,
  listOf,
  maybeText,
  maybeTime,
  moment,
  nameParam,
  objectOf,
  type RouteSchema,
  text,
} from "./problem.ts";

export const lookupRows: JsonSchema = listOf(
  { type: "object", additionalProperties: true },
  "One lookup per row: entity keys and request columns by name, all of them, nothing else. Timestamps as ISO 8601 with a zone or epoch milliseconds, int64 as digits in a string or a number.",
);
export const exact: JsonSchema = {
  type: "boolean",
  default: false,
  description:
    "Refuse with AS_OF_TOO_EARLY if an event at or after the moment was applied, instead of flagging the row.",
};
export const headOverlap: JsonSchema = listOf(
  { type: "boolean" },
  "Per row: an event at or after `as_of` was applied already, so a window may hold more than it should. Absent if no row is.",
);
export const asOf: JsonSchema = {
  ...moment,
  description:
    "The moment to read features at: ISO 8601 with a zone, or epoch milliseconds. Default: now, by the sources' clock.",
};

export function predictBody(row: JsonSchema): JsonSchema {
  return objectOf(
    {
      rows: listOf(row, "One lookup per row: entity keys and request columns by name."),
      as_of: asOf,
      exact,
      include_features: { type: "boolean", default: false, description: "Also answer with what the model read." },
    },
    ["as_of", "exact", "include_features"],
  );
}

export function predictAnswer(prediction: JsonSchema): JsonSchema {
  return objectOf(
    {
      model: text,
      version: { ...maybeText, description: "The version that answered; null if the declared fallback did." },
      as_of: { ...maybeTime, description: "The moment that features were read at." },
      predictions: listOf(prediction, "One per row, in the rows' order."),
      fallback: { type: "boolean", description: "True if the model did not answer in time. Absent otherwise." },
      head_overlap: headOverlap,
      features: listOf({ type: "object", additionalProperties: true }, "Per row, what the model read."),
      statuses: listOf(
        { type: "object", additionalProperties: { $ref: "FeatureStatus#" } },
        "Per row, the status of each feature.",
      ),
    },
    ["fallback", "head_overlap", "features", "statuses"],
  );
}

export const statusSchema: JsonSchema = {
  $id: "FeatureStatus",
  type: "string",
  enum: ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "UNAVAILABLE"],
};

const anyRow: JsonSchema = { type: "object", additionalProperties: true };

export const predictSchema: RouteSchema = {
  tags: ["models"],
  summary: "Predict",
  description: "Reads the features of the rows and predicts, all rows with one version of the model.",
  params: nameParam,
  body: predictBody(anyRow),
  response: answers(200, predictAnswer(anyRow), "The predictions."),
};
