import type { Value } from "../../definitions/value.ts";
import type { ModelBatch } from "./model-runner.ts";

/**
 * Reads an input example as MLflow saves it: a data frame in `split` orientation (`{"columns", "data"}`, also inside
 * `dataframe_split`), as records, or an array (`{"inputs": [[…]]}` or bare). Arrays get the given names, or "0", "1", ….
 *
 * Null for anything else, such as texts for a language model: an example is a help, not a part of the model.
 */
export function readInputExample(text: string, names: readonly string[] | null): ModelBatch | null {
  let parsed: unknown;
  try {
    parsed = parseExample(text);
  } catch {
    return null;
  }
  const root = isRecord(parsed)
    ? (parsed.dataframe_split ?? parsed.dataframe_records ?? parsed.inputs ?? parsed.instances ?? parsed)
    : parsed;
  if (isRecord(root)) return Array.isArray(root.data) ? readSplit(root.columns, root.data, names) : null;
  if (!Array.isArray(root) || root.length === 0) return null;
  if (root.every(isRecord)) return readRecords(root);
  return readSplit(undefined, root, names);
}

/** pandas writes missing numbers as bare NaN, which is no JSON. */
function parseExample(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(
      text.replace(/"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g, (token) => (token.startsWith('"') ? token : "null")),
    );
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readSplit(columns: unknown, data: readonly unknown[], names: readonly string[] | null): ModelBatch | null {
  const rows = data.map((row) => (Array.isArray(row) ? row : [row]));
  const width = rows[0]?.length ?? 0;
  const given = Array.isArray(columns) ? columns.map(String) : names?.length === width ? names : null;
  const head = given ?? Array.from({ length: width }, (_, i) => String(i));
  if (rows.some((row) => row.length !== head.length)) return null;
  return finishBatch(head, rows);
}

function readRecords(records: readonly Record<string, unknown>[]): ModelBatch | null {
  const columns = [...new Set(records.flatMap((record) => Object.keys(record)))];
  return finishBatch(
    columns,
    records.map((record) => columns.map((column) => record[column] ?? null)),
  );
}

function finishBatch(columns: readonly string[], rows: readonly (readonly unknown[])[]): ModelBatch | null {
  return rows.length > 0 && rows.every((row) => row.every(isValue)) ? { columns, rows: rows as Value[][] } : null;
}

function isValue(value: unknown): value is Value {
  return (
    value === null ||
    ["string", "number", "boolean"].includes(typeof value) ||
    (Array.isArray(value) && value.every(isValue))
  );
}
