import type { Value } from "../../definitions/value.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { apiError, invalidRequest } from "../api-errors.ts";
import { type Table, type TableColumn, tableColumns, tableValue } from "../predict-table.ts";
import { isObject, type JsonObject, parseBody, readChoice, readFlag, readMoment } from "../request-body.ts";
import { ROW_FORMS, rowForm } from "../row-form.ts";

const FORMATS = ["dataframe_split", "dataframe_records", "instances", "inputs"] as const;

/** What a body asks for. */
export interface ScoringRequest {
  readonly table: Table;
  readonly asOf: number | undefined;
  readonly exact: boolean;
}

/** Rows by column, as they came. */
interface Columns {
  readonly names: readonly string[];
  readonly count: number;
  cell(row: number, column: number): unknown;
}

/**
 * Reads a JSON body of MLflow's scoring protocol, in any of its four forms. `params`: `rows`, `as_of` and `exact` are
 * ours, others are ignored as MLflow does for a model without parameters. `isPositional`: the model names no columns, so
 * lists of values stand for its columns in their order.
 * @throws `BODY_MALFORMED`, `REQUEST_INVALID`, `TOO_MANY_ROWS`, `ROWS_INCOMPLETE`, `ROWS_AMBIGUOUS`
 */
export function readScoringJson(
  text: string,
  runtime: ServiceRuntime,
  isPositional: boolean,
  maxRows: number,
): ScoringRequest {
  const body = parseScoring(text);
  if (!isObject(body)) throw invalidRequest("The body", `a JSON object with one of ${FORMATS.join(", ")}`);
  const given = FORMATS.filter((format) => body[format] !== undefined);
  if (given.length !== 1) {
    throw invalidRequest("The body", `a JSON object with exactly one of ${FORMATS.join(", ")}, not ${given.length}`);
  }
  const { params = {} } = body;
  if (params !== null && !isObject(params)) throw invalidRequest("params", "an object");
  const format = given[0]!;
  const columns = readColumns(format, body[format], isPositional ? runtime.row.columns : null);
  return { ...readTable(columns, params ?? {}, runtime, maxRows) };
}

/** Reads rows of CSV whose first line names the columns. @throws as {@link readScoringJson} */
export function readScoringCsv(
  lines: readonly (readonly string[])[],
  runtime: ServiceRuntime,
  maxRows: number,
): ScoringRequest {
  const names = lines[0];
  if (names === undefined) throw apiError("BODY_MALFORMED", "The body has no line: the first names the columns.");
  const columns = { names, count: lines.length - 1, cell: (r: number, c: number) => lines[r + 1]![c] };
  return readTable(columns, {}, runtime, maxRows);
}

/** Python's JSON writes NaN for a missing number, which is no JSON. */
function parseScoring(text: string): unknown {
  try {
    return parseBody(text);
  } catch (error) {
    if (!text.includes("NaN")) throw error;
    // Texts are matched first, so that a NaN within one stays.
    return parseBody(text.replace(/"(?:[^"\\]|\\.)*"|\bNaN\b/g, (token) => (token === "NaN" ? "null" : token)));
  }
}

function readTable(columns: Columns, params: JsonObject, runtime: ServiceRuntime, maxRows: number): ScoringRequest {
  const { count } = columns;
  if (count > maxRows) {
    throw apiError("TOO_MANY_ROWS", `The body has ${count} rows, at most ${maxRows} may come at once: split them.`, {
      details: { rows: count, max_rows: maxRows },
    });
  }
  const asked = params.rows === undefined ? null : readChoice(params.rows, "params.rows", ROW_FORMS);
  const form = rowForm(runtime, new Set(columns.names), asked);
  const wanted = tableColumns(runtime, form);
  const positions = wanted.map(({ name }) => columns.names.indexOf(name));
  const rows: Value[][] = [];
  for (let r = 0; r < count; r++) {
    rows.push(
      wanted.map((column, c) => tableValue(positions[c]! < 0 ? null : columns.cell(r, positions[c]!), column, form, r)),
    );
  }
  return {
    table: { form, rows },
    asOf: readMoment(params.as_of, "params.as_of"),
    exact: readFlag(params.exact, "params.exact"),
  };
}

function readColumns(
  format: (typeof FORMATS)[number],
  value: unknown,
  positional: readonly TableColumn[] | null,
): Columns {
  if (format === "dataframe_split") return splitColumns(value);
  if (format === "dataframe_records") {
    if (!Array.isArray(value)) throw invalidRequest(format, "a list of objects");
    return recordColumns(value, format);
  }
  if (Array.isArray(value)) {
    if (positional !== null && Array.isArray(value[0])) return listColumns(value, format, positional);
    return recordColumns(value, format);
  }
  if (isObject(value)) return namedColumns(value, format);
  throw invalidRequest(format, "a list of objects, or an object of lists by column");
}

function splitColumns(value: unknown): Columns {
  if (!isObject(value)) throw invalidRequest("dataframe_split", "an object of columns and data");
  const unknown = Object.keys(value).find((key) => !["columns", "data", "index"].includes(key));
  if (unknown !== undefined) throw invalidRequest("dataframe_split", `without '${unknown}': columns, data and index`);
  const { columns, data } = value;
  if (!Array.isArray(columns)) throw invalidRequest("dataframe_split.columns", "the list of the columns' names");
  if (!Array.isArray(data)) throw invalidRequest("dataframe_split.data", "a list of rows");
  for (const [r, row] of data.entries()) {
    if (!Array.isArray(row) || row.length !== columns.length) {
      throw invalidRequest(`dataframe_split.data[${r}]`, `a list of ${columns.length} values`);
    }
  }
  return {
    names: columns.map(String),
    count: data.length,
    cell: (r, c) => (data[r] as readonly unknown[])[c],
  };
}

function recordColumns(records: readonly unknown[], format: string): Columns {
  const names = new Set<string>();
  for (const [r, record] of records.entries()) {
    if (!isObject(record)) throw invalidRequest(`${format}[${r}]`, "an object");
    for (const name of Object.keys(record)) names.add(name);
  }
  const list = [...names];
  return { names: list, count: records.length, cell: (r, c) => (records[r] as JsonObject)[list[c]!] };
}

/** One row of single values, or lists of one length. */
function namedColumns(value: JsonObject, format: string): Columns {
  const names = Object.keys(value);
  const lists = Object.values(value);
  if (!lists.some(Array.isArray)) return { names, count: names.length === 0 ? 0 : 1, cell: (_r, c) => lists[c] };
  const count = (lists.find(Array.isArray) as readonly unknown[]).length;
  for (const [c, list] of lists.entries()) {
    if (!Array.isArray(list) || list.length !== count) {
      throw invalidRequest(`${format}.${names[c]}`, `a list of ${count} values, as the others`);
    }
  }
  return { names, count, cell: (r, c) => (lists[c] as readonly unknown[])[r] };
}

function listColumns(rows: readonly unknown[], format: string, columns: readonly TableColumn[]): Columns {
  for (const [r, row] of rows.entries()) {
    if (!Array.isArray(row) || row.length !== columns.length) {
      throw invalidRequest(`${format}[${r}]`, `a list of the model's ${columns.length} values`);
    }
  }
  return {
    names: columns.map(({ name }) => name),
    count: rows.length,
    cell: (r, c) => (rows[r] as readonly unknown[])[c],
  };
}
