import type { AggregationSpec } from "../../definitions/aggregation-spec.ts";
import type { Expression } from "../../definitions/expression.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";
import { functionSource } from "./function-source.ts";
import type { Json, JsonObject } from "./json.ts";

/**
 * A value as JSON: an int64 is `{"$int64": "…"}`, a Date `{"$timestamp": milliseconds}`, the rest as it is; names of an
 * object keep their order.
 */
export function planValue(value: unknown): Json {
  if (typeof value === "bigint") return { $int64: String(value) };
  if (value instanceof Date) return { $timestamp: value.getTime() };
  if (Array.isArray(value)) return value.map(planValue);
  if (typeof value === "object" && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, planValue(item)]));
  }
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? value : null;
}

/** A column's type as JSON. */
export function planType(type: ColumnTypeSpec): JsonObject {
  return {
    kind: type.kind,
    nullable: type.nullable,
    ...(type.values === undefined ? {} : { values: type.values }),
    ...(type.item === undefined ? {} : { item: planType(type.item) }),
  };
}

/** What an aggregation was given beside its column. */
export function aggregationParameters({ n, probabilities, limit, boundaries }: AggregationSpec): JsonObject {
  return {
    ...(n === undefined ? {} : { n }),
    ...(probabilities === undefined ? {} : { probabilities }),
    ...(limit === undefined ? {} : { limit }),
    ...(boundaries === undefined ? {} : { boundaries }),
  };
}

type Transform = Exclude<Expression, { op: "column" | "request" | "feature" | "derive" | "fill" | "numeric" }>;

/** What an encoding is, but for its input and type: its op and every parameter that was declared. */
export function transformParameters(expression: Transform): JsonObject {
  const { input: _input, type: _type, ...parameters } = expression;
  // Lists, objects and plain values only, see the expression's type.
  return planValue(
    "label" in parameters
      ? { ...parameters, label: { name: parameters.label.name, type: planType(parameters.label.type) } }
      : parameters,
  ) as JsonObject;
}

/** An expression as JSON; functions by their normalised source. `where` says in errors whose function is not pure. */
export function planExpression(expression: Expression, where: string): JsonObject {
  const type = planType(expression.type);
  switch (expression.op) {
    case "column":
      return { op: "column", source: expression.source, column: expression.column, type };
    case "request":
      return { op: "request", column: expression.column, type };
    case "feature":
      return { op: "feature", view: expression.view.name, feature: expression.feature, keys: expression.keys, type };
    case "derive": {
      const inputs: Record<string, Json> = {};
      for (const [name, input] of Object.entries(expression.inputs)) inputs[name] = planExpression(input, where);
      return { op: "derive", inputs, function: functionSource(expression.fn, where).source, type };
    }
    case "fill":
      return { op: "fill", input: planExpression(expression.input, where), value: planValue(expression.value), type };
    case "numeric":
      return {
        op: "numeric",
        input: planExpression(expression.input, where),
        steps: expression.steps.map((step) => ({ ...step })),
        type,
      };
    default:
      return { ...transformParameters(expression), input: planExpression(expression.input, where), type };
  }
}
