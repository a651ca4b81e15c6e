import { adminOnly, answers, listOf, objectOf, type RouteSchema, text } from "./problem.ts";

const count = { type: "integer", minimum: 0 };
const number = { type: "number" };
const column = objectOf({
  name: text,
  baseline: { type: ["string", "null"], enum: ["training_set", "first_rows", null] },
  rows: { ...count, description: "Of the window." },
  drifted: { type: "boolean" },
  drifted_since: { type: ["string", "null"], format: "date-time" },
  reasons: listOf(text, "Of the last look: distribution, nulls or range."),
  null_ratio: number,
  out_of_range_ratio: number,
  psi: number,
  jensen_shannon: number,
  chi_square: objectOf({ statistic: number, p: number }),
  ks: { anyOf: [objectOf({ statistic: number, p: number }), { type: "null" }] },
});
/** Of a column that was not looked at yet. */
const unknown = objectOf({
  name: text,
  baseline: { type: ["string", "null"] },
  rows: count,
  drifted: { type: "boolean" },
});

export const qualitySchema: RouteSchema = {
  tags: ["monitoring"],
  summary: "How a service's last features and its models' last answers compare with their profiles",
  security: adminOnly,
  response: answers(
    200,
    objectOf({
      service: text,
      model: { type: ["string", "null"] },
      rows: { ...count, description: "Rows that were sampled." },
      features: listOf({ anyOf: [column, unknown] }),
      skew: objectOf({
        equal: count,
        different: count,
        unknown: count,
        examples: listOf(objectOf({ model: text, view: text, feature: text, served: text, history: text })),
      }),
      predictions: listOf(
        objectOf({ model: text, version: text, rows: count, outputs: listOf({ anyOf: [column, unknown] }) }),
      ),
    }),
  ),
};
