import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { ISO_TIMESTAMP_FORM, lacksZone, parseIsoTimestamp } from "./iso-timestamp.ts";

/** What a {@link ValueDecoder} gives for an input that its type does not have. */
export const INVALID: unique symbol = Symbol("invalid value");

/** What the numbers in a timestamp column count since the epoch. */
export type TimestampUnit = "s" | "ms" | "us" | "ns";

export interface ValueDecoderOptions {
  /** `text`: the inputs are cells of a CSV file. `json` (default): parsed JSON or in-process objects. */
  readonly cells?: "json" | "text";
  /** Of numbers in timestamp columns; JSON numbers without one are milliseconds, text needs it to hold numbers. */
  readonly unit?: TimestampUnit;
  /** Cells that mean null besides the empty one; text only. */
  readonly nulls?: ReadonlySet<string>;
}

/** Decodes one input that is neither null nor undefined. */
export interface ValueDecoder {
  /** The value; null for inputs that are not finite and for null cells; {@link INVALID} for the rest. */
  readonly decode: (input: unknown) => Value | typeof INVALID;
  /** What is accepted, for error messages. */
  readonly expected: string;
}

type Decode = ValueDecoder["decode"];

const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);
const INTEGER_TEXT = /^-?\d{1,40}$/;
const INTEGRAL_TEXT = /^(-?\d{1,40})(?:\.0*)?$/;
const FLOAT_TEXT = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;
const NOT_FINITE_TEXT = /^[+-]?(?:nan|inf|infinity)$/i;
/** The largest instant that a JavaScript Date holds. */
const MAX_TIMESTAMP_MS = 8.64e15;

function int64InRange(value: bigint): bigint | typeof INVALID {
  return value >= INT64_MIN && value <= INT64_MAX ? value : INVALID;
}

function decodeInt64(input: unknown): Value | typeof INVALID {
  if (typeof input === "number") {
    // Beyond 2^53 a double has lost digits already; the JSON decoder hands such literals over as bigints.
    if (Number.isSafeInteger(input)) return BigInt(input);
    return Number.isFinite(input) ? INVALID : null;
  }
  if (typeof input === "bigint") return int64InRange(input);
  if (typeof input === "string" && INTEGER_TEXT.test(input)) return int64InRange(BigInt(input));
  return INVALID;
}

function decodeInt32(input: unknown): Value | typeof INVALID {
  if (typeof input === "bigint") return BigInt.asIntN(32, input) === input ? Number(input) : INVALID;
  if (typeof input !== "number") return INVALID;
  const truncated = input | 0;
  // `| 0` also turns −0 into 0, which compares equal to it.
  if (truncated === input) return truncated;
  return Number.isFinite(input) ? INVALID : null;
}

function decodeFloat64(input: unknown): Value | typeof INVALID {
  if (typeof input === "number") return Number.isFinite(input) ? input + 0 : null;
  if (typeof input === "bigint") return decodeFloat64(Number(input));
  if (typeof input === "string" && NOT_FINITE_TEXT.test(input)) return null;
  return INVALID;
}

function decodeString(input: unknown): Value | typeof INVALID {
  if (typeof input !== "string") return INVALID;
  return input.isWellFormed() ? input : input.toWellFormed();
}

function decodeBool(input: unknown): Value | typeof INVALID {
  return typeof input === "boolean" ? input : INVALID;
}

function epochMs(count: number | bigint, unit: TimestampUnit): number {
  if (typeof count === "bigint") {
    const perMs = unit === "ns" ? 1_000_000n : unit === "us" ? 1000n : 1n;
    const scaled = unit === "s" ? count * 1000n : count;
    const quotient = scaled / perMs;
    return Number(scaled % perMs < 0n ? quotient - 1n : quotient);
  }
  if (unit === "ms") return Math.floor(count);
  if (unit === "us") return Math.floor(count / 1000);
  if (unit === "ns") return Math.floor(count / 1_000_000);
  // Through microseconds, since 1700000000.123 is no double: its product with 1000 may lie just below the millisecond.
  return Math.floor(Math.round(count * 1_000_000) / 1000);
}

function timestampInRange(ms: number): number | typeof INVALID {
  return Math.abs(ms) <= MAX_TIMESTAMP_MS ? ms + 0 : INVALID;
}

function compileTimestamp(unit: TimestampUnit | undefined): Decode {
  const numbers = unit ?? "ms";
  return (input) => {
    if (typeof input === "string") {
      const ms = parseIsoTimestamp(input);
      if (!Number.isNaN(ms)) return ms;
      // A bare "20130101" is a date to a person: digits in text count as an epoch only where a unit is declared.
      if (unit === undefined || !FLOAT_TEXT.test(input)) return INVALID;
      const count = INTEGER_TEXT.test(input) ? BigInt(input) : Number(input);
      return timestampInRange(epochMs(count, unit));
    }
    if (typeof input === "number") {
      return Number.isFinite(input) ? timestampInRange(epochMs(input, numbers)) : null;
    }
    if (typeof input === "bigint") return timestampInRange(epochMs(input, numbers));
    if (input instanceof Date) return Number.isNaN(input.getTime()) ? null : input.getTime() + 0;
    return INVALID;
  };
}

function compileOneOf(values: readonly string[]): Decode {
  const allowed = new Set(values);
  return (input) => (typeof input === "string" && allowed.has(input) ? input : INVALID);
}

function compileList(item: ColumnTypeSpec, unit: TimestampUnit | undefined): Decode {
  const { decode } = compileValueDecoder(item, unit === undefined ? {} : { unit });
  return (input) => {
    if (!Array.isArray(input)) return INVALID;
    const items: Value[] = [];
    for (const element of input) {
      const value = element === null || element === undefined ? null : decode(element);
      if (value === INVALID || (value === null && !item.nullable)) return INVALID;
      items.push(value);
    }
    return items;
  };
}

const TEXT_BOOLS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["false", false],
  ["1", true],
  ["0", false],
]);

/** Wraps the decoder of typed inputs so that it reads the text of a cell. */
function compileText(type: ColumnTypeSpec, typed: Decode, nulls: ReadonlySet<string>): Decode {
  const read = textReader(type, typed);
  return (input) => {
    if (typeof input !== "string") return typed(input);
    return input === "" || nulls.has(input) ? null : read(input);
  };
}

function textReader(type: ColumnTypeSpec, typed: Decode): (cell: string) => Value | typeof INVALID {
  switch (type.kind) {
    case "int64":
      return (cell) => {
        const match = INTEGRAL_TEXT.exec(cell.trim());
        if (match !== null) return int64InRange(BigInt(match[1]!));
        return NOT_FINITE_TEXT.test(cell.trim()) ? null : INVALID;
      };
    case "int32":
    case "float64":
      return (cell) => {
        const trimmed = cell.trim();
        if (FLOAT_TEXT.test(trimmed)) return typed(Number(trimmed));
        return NOT_FINITE_TEXT.test(trimmed) ? null : INVALID;
      };
    case "bool":
      return (cell) => TEXT_BOOLS.get(cell.trim().toLowerCase()) ?? INVALID;
    case "timestamp":
      return (cell) => typed(cell.trim());
    case "list":
      return (cell) => {
        try {
          return typed(JSON.parse(cell));
        } catch {
          return INVALID;
        }
      };
    default:
      return typed;
  }
}

function typedDecoder(type: ColumnTypeSpec, unit: TimestampUnit | undefined): Decode {
  switch (type.kind) {
    case "string":
      return decodeString;
    case "int64":
      return decodeInt64;
    case "int32":
      return decodeInt32;
    case "float64":
      return decodeFloat64;
    case "bool":
      return decodeBool;
    case "timestamp":
      return compileTimestamp(unit);
    case "one_of":
      return compileOneOf(type.values ?? []);
    case "list":
      return compileList(type.item ?? { kind: "string", nullable: false }, unit);
  }
}

function expectation(type: ColumnTypeSpec, options: ValueDecoderOptions): string {
  const text = options.cells === "text";
  switch (type.kind) {
    case "string":
      return "a string";
    case "int64":
      return "an int64: a whole number from −2^63 to 2^63 − 1, as a number or as a string of digits";
    case "int32":
      return "an int32: a whole number from −2147483648 to 2147483647";
    case "float64":
      return "a float64: a number";
    case "bool":
      return text ? "a bool: true, false, 1 or 0" : "a bool: true or false";
    case "timestamp": {
      if (options.unit !== undefined) return `${ISO_TIMESTAMP_FORM}, or ${options.unit} since the epoch`;
      return text ? ISO_TIMESTAMP_FORM : `${ISO_TIMESTAMP_FORM}, or ms since the epoch as a number`;
    }
    case "one_of": {
      const values = type.values ?? [];
      const shown = values.slice(0, 20).map((value) => JSON.stringify(value));
      return `one of ${shown.join(", ")}${values.length > 20 ? ` and ${values.length - 20} more` : ""}`;
    }
    case "list": {
      const item = type.item ?? { kind: "string", nullable: false };
      const items = item.kind === "one_of" ? expectation(item, options) : item.kind;
      return `a list of ${items}${item.nullable ? " or null" : ""}${text ? ", written as JSON" : ""}`;
    }
  }
}

/** Compiles the decoder of one column type. Rules: DESIGN, "Time and values". */
export function compileValueDecoder(type: ColumnTypeSpec, options: ValueDecoderOptions = {}): ValueDecoder {
  const typed = typedDecoder(type, options.unit);
  return {
    decode: options.cells === "text" ? compileText(type, typed, options.nulls ?? new Set()) : typed,
    expected: expectation(type, options),
  };
}

/** Names an input in an error message, shortened. */
export function describeFound(type: ColumnTypeSpec, input: unknown): string {
  if (typeof input === "string") {
    const shown = input.length > 80 ? `${input.slice(0, 80)}…` : input;
    const zone = type.kind === "timestamp" && lacksZone(input.trim()) ? ", which has no time zone" : "";
    return `the string ${JSON.stringify(shown)}${zone}`;
  }
  if (typeof input === "number" || typeof input === "bigint") return `the number ${String(input).slice(0, 80)}`;
  if (typeof input === "boolean") return String(input);
  if (Array.isArray(input)) return `a list of ${input.length}`;
  return input === null || input === undefined ? "null" : `an ${typeof input}`;
}
