import type { Expression } from "../definitions/expression.ts";
import type { Value } from "../definitions/value.ts";
import type { ViewLayout } from "../feature_engineering/windows/view-layout.ts";
import { type ColumnValues, createColumn, type VersionKind, valueAt } from "./offline/point-in-time.ts";

/** Which columns of its source the read features of a view need, and how their inputs are made of them. */
export interface ViewColumns {
  /** Names, to be asked of the store. */
  readonly columns: readonly string[];
  readonly version: VersionKind;
  /** The layout's inputs that are needed, by index, each as a column of `count` values. */
  inputsOf(columns: readonly ColumnValues[], count: number): (ColumnValues | null)[];
  /** The layout's predicates that are needed, by index: 1 where true. */
  wheresOf(columns: readonly ColumnValues[], count: number): (Uint8Array | null)[];
}

/** Compiles it for the features with these indexes in the view. */
export function viewColumns(layout: ViewLayout, features: readonly number[]): ViewColumns {
  const { view } = layout;
  const inputs = new Map<number, Expression>();
  const wheres = new Map<number, Expression>();
  for (const feature of features) {
    const read = layout.features[feature]!;
    const slot = layout.families[read.family]!.slots[read.slot]!;
    const { input, where } = view.features[feature]!.aggregate;
    if (slot.input >= 0) inputs.set(slot.input, input!);
    if (slot.where >= 0) wheres.set(slot.where, where!);
  }
  const needed = new Set<string>();
  for (const expression of [...inputs.values(), ...wheres.values()]) addColumns(expression, needed);
  if (view.source.deleted !== null && needed.size > 0) needed.add(view.source.deleted);
  const columns = [...needed];
  const indexes = columns.map((name) => view.source.columns.findIndex((column) => column.name === name));
  const deleted = columns.indexOf(view.source.deleted ?? "");
  const row = new Array<Value>(view.source.columns.length).fill(null);

  const isDeleted = (values: readonly ColumnValues[], event: number): boolean =>
    deleted >= 0 && values[deleted]![event] === true;
  const fill = (values: readonly ColumnValues[], event: number): void => {
    for (let i = 0; i < indexes.length; i++) row[indexes[i]!] = valueAt(values[i]!, event);
  };

  return {
    columns,
    version: versionKind(layout),
    inputsOf(values, count) {
      return layout.inputs.map((evaluate, index) => {
        const expression = inputs.get(index);
        if (expression === undefined) return null;
        const plain = expression.op === "column" ? values[columns.indexOf(expression.column)]! : null;
        if (plain !== null && deleted < 0) return plain;
        const result = createColumn(expression.type, count);
        for (let event = 0; event < count; event++) {
          if (isDeleted(values, event)) continue;
          if (plain === null) fill(values, event);
          const value = plain === null ? evaluate(row) : valueAt(plain, event);
          if (value !== null) result[event] = value as number;
        }
        return result;
      });
    },
    wheresOf(values, count) {
      return layout.wheres.map((evaluate, index) => {
        if (!wheres.has(index)) return null;
        const result = new Uint8Array(count);
        for (let event = 0; event < count; event++) {
          fill(values, event);
          result[event] = isDeleted(values, event) || evaluate(row) === true ? 1 : 0;
        }
        return result;
      });
    },
  };
}

function versionKind({ view }: ViewLayout): VersionKind {
  const column = view.source.columns.find(({ name }) => name === view.source.version);
  if (column === undefined) return "none";
  return column.type.kind === "int64" ? "int64" : "number";
}

function addColumns(expression: Expression, into: Set<string>): void {
  if (expression.op === "column") into.add(expression.column);
  else if (expression.op === "derive") for (const input of Object.values(expression.inputs)) addColumns(input, into);
}
