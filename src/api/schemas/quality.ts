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

const estimates = {
  type: "object",
  description: "By measure: its value and its standard error, null where none is known.",
  additionalProperties: objectOf({ value: number, error: { type: ["number", "null"] } }),
};
const maybeNumber = { type: ["number", "null"] };
const share = {
  matched: { ...count, description: "Logged predictions with an outcome." },
  estimated_rows: { ...number, description: "How many predictions they stand for: each counts 1 / sample rate." },
  unmatched: { ...count, description: "Without an outcome, though its time has passed." },
  unscored: { ...count, description: "With one that cannot be compared." },
  metrics: estimates,
};
const outcome = objectOf({
  outcome: text,
  model: text,
  task: { type: "string", enum: ["binary", "regression", "classes"] },
  clock: { type: "string", format: "date-time", description: "The end of the windows: the clock of the source." },
  waiting: { ...count, description: "Predictions whose outcome may still come." },
  dropped: { ...count, description: "Predictions that were more than are held." },
  complete_from: { type: ["string", "null"], format: "date-time" },
  degraded: { type: "boolean", description: "A bound is broken by more than chance explains." },
  bounds: listOf(objectOf({ metric: text, bound: number, value: maybeNumber, broken: { type: "boolean" } })),
  windows: listOf(
    objectOf({
      window: { ...text, description: "As declared; `recent`: the last 500 predictions with an outcome." },
      ...share,
      calibration: listOf(
        objectOf({
          above: number,
          up_to: number,
          rows: count,
          weight: number,
          predicted: maybeNumber,
          observed: maybeNumber,
        }),
      ),
      classes: listOf(
        objectOf({ name: text, rows: count, precision: maybeNumber, recall: maybeNumber, log_loss: maybeNumber }),
      ),
      versions: listOf(objectOf({ version: text, ...share })),
    }),
  ),
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
      outcomes: listOf(outcome, "What became of the predictions of the service's models."),
      predictions: listOf(
        objectOf({ model: text, version: text, rows: count, outputs: listOf({ anyOf: [column, unknown] }) }),
      ),
    }),
  ),
};
