import type { MillraceError } from "../../definitions/errors.ts";
import type { ColumnTypeSpec } from "../../definitions/value.ts";
import { storeError } from "../store-error.ts";
import type { SourceTable } from "./offline-store.ts";

export type SourceColumn = SourceTable["columns"][number];

/** What has to be true of stored rows before a column may be declared as it now is. */
export interface ColumnCondition {
  readonly column: string;
  /** No stored value is null. */
  readonly noNulls: boolean;
  /** Every stored value is one of these; null for any. */
  readonly values: readonly string[] | null;
}

export interface SchemaChange {
  /** Nullable columns that stored rows lack: they read as null. */
  readonly added: readonly SourceColumn[];
  readonly conditions: readonly ColumnCondition[];
}

/**
 * How a source's declaration changed against the rows that are stored. Columns are known by name, so their order is
 * free.
 * @throws `SCHEMA_INCOMPATIBLE` if no rows of the old declaration fit the new one
 */
export function compareSchemas(stored: SourceTable, next: SourceTable): SchemaChange {
  const { source } = next;
  if (stored.hasId !== next.hasId) {
    throw incompatible(source, stored.hasId ? "its events no longer have an id" : "its stored events have no id");
  }
  const before = new Map(stored.columns.map((column) => [column.name, column]));
  const added: SourceColumn[] = [];
  const conditions: ColumnCondition[] = [];
  for (const column of next.columns) {
    const old = before.get(column.name);
    before.delete(column.name);
    if (old === undefined) {
      if (!column.type.nullable) {
        throw incompatible(source, `the new column '${column.name}' is not nullable, and stored events lack it`);
      }
      added.push(column);
      continue;
    }
    if (typeText(old.type) !== typeText(column.type)) {
      throw incompatible(source, `column '${column.name}' was ${typeText(old.type)} and is ${typeText(column.type)}`);
    }
    const noNulls = old.type.nullable && !column.type.nullable;
    const values = column.type.values ?? [];
    const fewer = (old.type.values ?? []).some((value) => !values.includes(value));
    if (noNulls || fewer) conditions.push({ column: column.name, noNulls, values: fewer ? values : null });
  }
  const [removed] = before.keys();
  if (removed !== undefined) throw incompatible(source, `column '${removed}' was removed, and stored events have it`);
  return { added, conditions };
}

/** The error for a condition that stored rows do not meet. */
export function conditionFailed(source: string, { column, noNulls, values }: ColumnCondition): MillraceError {
  const reason =
    values === null || noNulls
      ? `column '${column}' is no longer nullable, and stored events have nulls in it`
      : `stored events have values in column '${column}' that it no longer allows`;
  return incompatible(source, reason);
}

function incompatible(source: string, reason: string): MillraceError {
  return storeError(
    "SCHEMA_INCOMPATIBLE",
    `The declaration of '${source}' does not fit its stored events: ${reason}. Only nullable columns may be added; give the changed source a new name.`,
    { details: { source } },
  );
}

/** Without what `conditions` check. */
function typeText(type: ColumnTypeSpec): string {
  if (type.kind !== "list") return type.kind;
  const item = type.item!;
  const values = item.values === undefined ? "" : `(${item.values.join(", ")})`;
  return `list of ${item.nullable ? "nullable " : ""}${typeText(item)}${values}`;
}
