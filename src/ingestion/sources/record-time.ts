import type { ColumnTypeSpec } from "../../definitions/value.ts";
import { splitCsvRecord } from "../decoders/csv-record.ts";
import { parseJson } from "../decoders/json-decoder.ts";
import type { SourceColumn } from "../decoders/row-decoder.ts";
import { compileValueDecoder } from "../decoders/value-decoder.ts";

/** Reads one time from the text of a record: epoch milliseconds, NaN if it has none. */
export type RecordTime = (record: string) => number;

const TIMESTAMP: ColumnTypeSpec = { kind: "timestamp", nullable: true };
const DOUBLE_QUOTE = 34;
const COLON = 58;

function timeOf(column: SourceColumn, cells: "json" | "text", nulls: readonly string[]): (input: unknown) => number {
  const unit = column.unit === undefined ? {} : { unit: column.unit };
  const { decode } = compileValueDecoder(TIMESTAMP, { cells, nulls: new Set(nulls), ...unit });
  return (input) => {
    const value = input === null || input === undefined ? null : decode(input);
    return typeof value === "number" ? value : Number.NaN;
  };
}

function skipSpace(text: string, start: number): number {
  let at = start;
  while (text.charCodeAt(at) === 32 || text.charCodeAt(at) === 9) at++;
  return at;
}

/** An integer of up to 15 digits that a comma, a brace or a space follows; NaN for all else. */
function plainInteger(text: string, start: number): number {
  let value = 0;
  for (let at = start; at <= start + 15; at++) {
    const code = text.charCodeAt(at);
    if (code >= 48 && code <= 57) value = value * 10 + (code - 48);
    else return at > start && (code === 44 || code === 125 || code === 32) ? value : Number.NaN;
  }
  return Number.NaN;
}

/** Reads a time from an object that is parsed already. */
export function objectTime(column: SourceColumn, cells: "json" | "text", nulls: readonly string[]): RecordObjectTime {
  const steps = cells === "text" ? [column.path ?? column.name] : (column.path ?? column.name).split(".");
  const time = timeOf(column, cells, nulls);
  return (record) => {
    let at: unknown = record;
    for (const step of steps) {
      if (typeof at !== "object" || at === null || !Object.hasOwn(at, step)) return Number.NaN;
      at = (at as Readonly<Record<string, unknown>>)[step];
    }
    return time(at);
  };
}

export type RecordObjectTime = (record: Readonly<Record<string, unknown>>) => number;

/**
 * Reads a time from a line of JSON, where it can without parsing the line: if the line has no backslash and the
 * column's name, in quotes, once, then that is the field. It gives the same as parsing for every line whose row is
 * valid; of others it merely decides where in the order their dead letter comes.
 */
export function jsonTime(column: SourceColumn): RecordTime {
  const path = column.path ?? column.name;
  const quick = !path.includes(".") && !path.includes("\\") && !path.includes('"');
  const needle = `"${path}"`;
  const time = timeOf(column, "json", []);
  const parsedTime = objectTime(column, "json", []);
  const parsed: RecordTime = (line) => {
    try {
      const record = parseJson(line, true);
      if (typeof record !== "object" || record === null) return Number.NaN;
      return parsedTime(record as Readonly<Record<string, unknown>>);
    } catch {
      return Number.NaN;
    }
  };
  if (!quick) return parsed;
  return (line) => {
    const name = line.indexOf(needle);
    if (name < 0 || line.includes("\\") || line.includes(needle, name + 1)) return parsed(line);
    const colon = skipSpace(line, name + needle.length);
    if (line.charCodeAt(colon) !== COLON) return parsed(line);
    const start = skipSpace(line, colon + 1);
    if (line.charCodeAt(start) !== DOUBLE_QUOTE) {
      const number = plainInteger(line, start);
      return Number.isNaN(number) ? parsed(line) : time(number);
    }
    const end = line.indexOf('"', start + 1);
    return end < 0 ? Number.NaN : time(line.slice(start + 1, end));
  };
}

/** Reads a time from a CSV record. */
export function csvTime(
  column: SourceColumn,
  header: readonly string[],
  delimiter: string,
  nulls: readonly string[],
): RecordTime {
  const place = header.indexOf(column.path ?? column.name);
  const time = timeOf(column, "text", nulls);
  if (place < 0) return () => Number.NaN;
  return (record) => {
    if (record.includes('"')) {
      const fields = splitCsvRecord(record, delimiter);
      return typeof fields === "string" ? Number.NaN : time(fields[place] ?? null);
    }
    let start = 0;
    for (let i = 0; i < place; i++) {
      const next = record.indexOf(delimiter, start);
      if (next < 0) return Number.NaN;
      start = next + 1;
    }
    const end = record.indexOf(delimiter, start);
    return time(end < 0 ? record.slice(start) : record.slice(start, end));
  };
}
