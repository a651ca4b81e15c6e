import type { ColumnType } from "./column-type.ts";
import { millraceError } from "./errors.ts";
import {
  type AnyExpr,
  type Expr,
  expr,
  type KeysOf,
  type RequestOf,
  type StreamOf,
  type ValueOf,
} from "./expression.ts";
import type { Simplify, UnionToIntersection } from "./type-problem.ts";
import type { ColumnTypeSpec, Value } from "./value.ts";

export type AllKeys<F> = Simplify<UnionToIntersection<{ [P in keyof F]: KeysOf<F[P]> }[keyof F]>>;
export type AllRequest<F> = Simplify<UnionToIntersection<{ [P in keyof F]: RequestOf<F[P]> }[keyof F]>>;

/**
 * A value computed by a pure function, of an event's columns or of feature and request values. It runs online, in
 * Beam, in backfills and in training sets. The function closes over nothing and uses only the listed globals; nulls
 * reach it as null. A throw, undefined or a value of another type than `type` gives null, and is counted.
 */
export function derive<const I extends Readonly<Record<string, AnyExpr>>, O>(
  inputs: I,
  type: ColumnType<O>,
  fn: (row: { [K in keyof I]: ValueOf<I[K]> }) => NoInfer<O>,
): Expr<O, StreamOf<I[keyof I]>, AllKeys<I>, AllRequest<I>> {
  if (typeof fn !== "function") {
    throw millraceError("DEFINITION_INVALID", "derive(inputs, type, fn) needs a function as its third argument.");
  }
  const entries = Object.entries(inputs).map(([name, input]) => [name, input.expression] as const);
  const isEvent = (op: string): boolean => op === "column";
  const kinds = new Set(
    entries.map(([, e]) => (isEvent(e.op) ? "events" : e.op === "derive" ? derivedFrom(e.inputs) : "rows")),
  );
  if (kinds.has("events") && kinds.has("rows")) {
    throw millraceError(
      "DEFINITION_INVALID",
      "derive() mixes a source's columns with features or request columns: aggregate the columns in a feature view first.",
    );
  }
  return expr({ op: "derive", inputs: Object.freeze(Object.fromEntries(entries)), fn, type: type.spec });
}

function derivedFrom(inputs: Readonly<Record<string, AnyExpr["expression"]>>): "events" | "rows" {
  const ops = Object.values(inputs).map((e) =>
    e.op === "derive" ? derivedFrom(e.inputs) : e.op === "column" ? "events" : "rows",
  );
  return ops.includes("events") ? "events" : "rows";
}

/**
 * A user's constant as an internal value of the type.
 * @throws `DEFINITION_INVALID` if it is not of the type.
 */
export function toValue(value: unknown, type: ColumnTypeSpec, where: string): Value {
  const bad = (): never => {
    throw millraceError(
      "DEFINITION_INVALID",
      `${where}(${String(value)}): the value must be a ${type.kind}${type.values ? ` (${type.values.join(", ")})` : ""}.`,
    );
  };
  switch (type.kind) {
    case "string":
      return typeof value === "string" ? value : bad();
    case "one_of":
      return typeof value === "string" && type.values?.includes(value) ? value : bad();
    case "int64":
      return typeof value === "bigint" ? value : bad();
    case "int32":
      return typeof value === "number" && Number.isInteger(value) ? value + 0 : bad();
    case "float64":
      return typeof value === "number" && Number.isFinite(value) ? value + 0 : bad();
    case "bool":
      return typeof value === "boolean" ? value : bad();
    case "timestamp":
      return value instanceof Date && Number.isFinite(value.getTime()) ? value.getTime() : bad();
    case "list": {
      const item = type.item;
      if (!Array.isArray(value) || item === undefined) return bad();
      return value.map((v: unknown) => (v === null && item.nullable ? null : toValue(v, item, where)));
    }
  }
}
