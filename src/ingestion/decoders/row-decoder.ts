import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { ingestionError } from "../ingestion-error.ts";
import type { DecodedPayload, DecodeFailure } from "../stream-message.ts";
import {
  compileValueDecoder,
  describeFound,
  INVALID,
  type TimestampUnit,
  type ValueDecoder,
  type ValueDecoderOptions,
} from "./value-decoder.ts";

/** One column of a source's schema, as a plan holds it. */
export interface SourceColumn {
  readonly name: string;
  readonly type: ColumnTypeSpec;
  /** Where its value is: `a.b.c` in nested JSON, the literal header of a CSV file. Default: its name. */
  readonly path?: string;
  /** What numbers in a timestamp column count; without it JSON numbers are milliseconds and text holds none. */
  readonly unit?: TimestampUnit;
}

export interface RowDecoderOptions {
  /** The name of the column that holds the event time: a timestamp. */
  readonly eventTime: string;
  /** `text`: the record's fields are cells of a CSV file. Default `json`. */
  readonly cells?: "json" | "text";
  /** Cells that mean null besides the empty one, such as `NA`; text only. Default none. */
  readonly nulls?: readonly string[];
}

/** Turns records into rows in declared order. */
export interface RowDecoder {
  readonly columns: readonly SourceColumn[];
  /** The place of the event time in a row. */
  readonly eventTimeIndex: number;
  /**
   * A row, or an `INVALID_VALUE` failure that names the column, what was found and what was expected. Fields that no
   * column names are ignored; a missing field is null.
   */
  decode(record: Readonly<Record<string, unknown>>): DecodedPayload;
  /** The same for records whose fields come in a fixed order: the decoder of a CSV file with that header. */
  bindHeader(header: readonly string[]): (fields: readonly string[]) => DecodedPayload;
}

interface CompiledColumn {
  readonly name: string;
  readonly decoder: ValueDecoder;
  readonly nullable: boolean;
  readonly type: ColumnTypeSpec;
  readonly get: (record: Readonly<Record<string, unknown>>) => unknown;
}

/** Marks a path that runs into something that is not an object. */
const NOT_AN_OBJECT = Symbol("not an object");

/** True for a {@link DecodeFailure}, false for a row. */
export function isDecodeFailure(decoded: DecodedPayload): decoded is DecodeFailure {
  return !Array.isArray(decoded);
}

function compileGetter(path: string, nested: boolean): CompiledColumn["get"] {
  const steps = nested ? path.split(".") : [path];
  if (steps.length === 1) {
    // A column may be called `constructor`: what every object inherits is no field of the record.
    if (path in Object.prototype) return (record) => (Object.hasOwn(record, path) ? record[path] : undefined);
    return (record) => record[path];
  }
  return (record) => {
    let at: unknown = record;
    for (const step of steps) {
      if (at === null || at === undefined) return null;
      if (typeof at !== "object") return NOT_AN_OBJECT;
      at = Object.hasOwn(at, step) ? (at as Readonly<Record<string, unknown>>)[step] : undefined;
    }
    return at;
  };
}

function invalidValue(column: CompiledColumn, input: unknown, value: Value | typeof INVALID): DecodeFailure {
  const expected = `expected ${column.decoder.expected}${column.nullable ? ", or null" : ""}`;
  if (input === NOT_AN_OBJECT) {
    return { code: "INVALID_VALUE", reason: `column "${column.name}": its path leads into a value without fields` };
  }
  const missing = input === null || input === undefined;
  const found = missing ? "null, or no such field" : describeFound(column.type, input);
  const isNull = value === null && !missing ? ", which is read as null" : "";
  return { code: "INVALID_VALUE", reason: `column "${column.name}": found ${found}${isNull}; ${expected}` };
}

/**
 * Compiles the decoder of a schema. Fails with `COLUMN_UNKNOWN` if the event time is no column, or none of type
 * timestamp.
 */
export function compileRowDecoder(columns: readonly SourceColumn[], options: RowDecoderOptions): RowDecoder {
  const eventTimeIndex = columns.findIndex((column) => column.name === options.eventTime);
  if (columns[eventTimeIndex]?.type.kind !== "timestamp") {
    throw ingestionError(
      "COLUMN_UNKNOWN",
      `The event time "${options.eventTime}" is no timestamp column of the schema. Its columns are ` +
        `${columns.map((column) => column.name).join(", ")}: declare one of type timestamp as the event time.`,
    );
  }
  const text = options.cells === "text";
  const nulls = new Set(options.nulls ?? []);
  const compiled = columns.map((column, index): CompiledColumn => {
    const valueOptions: ValueDecoderOptions = {
      cells: text ? "text" : "json",
      nulls,
      ...(column.unit === undefined ? {} : { unit: column.unit }),
    };
    return {
      name: column.name,
      decoder: compileValueDecoder(column.type, valueOptions),
      // Without an event time there is no event, whatever the column's declaration says.
      nullable: column.type.nullable && index !== eventTimeIndex,
      type: column.type,
      get: compileGetter(column.path ?? column.name, !text),
    };
  });
  const count = compiled.length;
  const getters = compiled.map((column) => column.get);
  const decoders = compiled.map((column) => column.decoder.decode);
  const nullables = compiled.map((column) => column.nullable);

  const decode = (record: Readonly<Record<string, unknown>>): DecodedPayload => {
    const row: Value[] = [];
    for (let i = 0; i < count; i++) {
      const input = getters[i]!(record);
      const value = input === null || input === undefined ? null : decoders[i]!(input);
      if (value === INVALID || (value === null && !nullables[i])) return invalidValue(compiled[i]!, input, value);
      row.push(value);
    }
    return row;
  };

  const bindHeader = (header: readonly string[]): ((fields: readonly string[]) => DecodedPayload) => {
    const places = columns.map((column) => header.indexOf(column.path ?? column.name));
    return (fields) => {
      const row: Value[] = [];
      for (let i = 0; i < count; i++) {
        const place = places[i]!;
        const input = place < 0 ? null : (fields[place] ?? null);
        const value = input === null ? null : decoders[i]!(input);
        if (value === INVALID || (value === null && !nullables[i])) return invalidValue(compiled[i]!, input, value);
        row.push(value);
      }
      return row;
    };
  };

  return { columns, eventTimeIndex, decode, bindHeader };
}
