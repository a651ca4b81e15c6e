import type { ColumnTypeSpec } from "../../definitions/value.ts";
import type { DecodeFailure } from "../stream-message.ts";
import type { SourceColumn } from "./row-decoder.ts";

/** A literal of 16 or more digits where a number may start: it may not fit a double. Strings of digits do not match. */
const LONG_INTEGER = /[:,[\s-]\d{16}/;
const INTEGER_LITERAL = /^-?\d+$/;
/** Digits of the longest int64, with its sign: longer literals are not turned into bigints, which would be slow. */
const MAX_INT64_LENGTH = 20;
/** Above this length the place of an unexpected token is not searched for. */
const MAX_LOCATED_LENGTH = 65_536;

type Reviver = (this: unknown, key: string, value: unknown, context: { readonly source?: string }) => unknown;

const exactReviver: Reviver = (_key, value, context) => {
  if (typeof value !== "number" || Number.isSafeInteger(value)) return value;
  const { source } = context;
  if (source === undefined || source.length > MAX_INT64_LENGTH || !INTEGER_LITERAL.test(source)) return value;
  return BigInt(source);
};

function holdsInt64(type: ColumnTypeSpec): boolean {
  return type.kind === "int64" || (type.item !== undefined && holdsInt64(type.item));
}

/** True if a schema has columns for which integers beyond 2^53 must keep their digits. */
export function needsExactIntegers(columns: readonly SourceColumn[]): boolean {
  return columns.some((column) => holdsInt64(column.type) || column.unit === "ns" || column.unit === "us");
}

/**
 * `JSON.parse`. With `exactIntegers`, integer literals beyond ±(2^53 − 1) that an int64 may hold become bigints with
 * all their digits. Throws what `JSON.parse` throws; also a RangeError on a nesting too deep to walk.
 */
export function parseJson(text: string, exactIntegers: boolean): unknown {
  if (!exactIntegers || !LONG_INTEGER.test(text)) return JSON.parse(text);
  // The library types lack the reviver's third parameter (ECMAScript proposal "JSON.parse source text access").
  return JSON.parse(text, exactReviver as (this: unknown, key: string, value: unknown) => unknown);
}

/** The text of UTF-8 bytes without a byte order mark; invalid sequences become U+FFFD. */
export function utf8Text(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** V8 does not say where an unexpected token is: the longest prefix that merely ends too early ends there. */
function locateUnexpectedToken(text: string): number | null {
  if (text.length > MAX_LOCATED_LENGTH) return null;
  let before = 0;
  let after = text.length;
  while (before < after) {
    const middle = (before + after + 1) >> 1;
    let unexpected = false;
    try {
      JSON.parse(text.slice(0, middle));
    } catch (error) {
      unexpected = error instanceof SyntaxError && error.message.startsWith("Unexpected token");
    }
    if (unexpected) after = middle - 1;
    else before = middle;
  }
  return before;
}

/** Says why `parseJson` threw, with the position. */
export function jsonFailure(text: string, error: unknown): DecodeFailure {
  if (!(error instanceof SyntaxError)) {
    return { code: "DECODE_FAILED", reason: "The JSON is nested too deeply to be read." };
  }
  const message = error.message;
  if (text.trim() === "") return { code: "DECODE_FAILED", reason: "Not JSON: the message is empty." };
  if (/at position \d+/.test(message)) {
    return { code: "DECODE_FAILED", reason: `Not JSON: ${message.replace(/ in JSON(?= at)/, "")}` };
  }
  const position = message.startsWith("Unexpected end") ? text.length : locateUnexpectedToken(text);
  const token = position === null ? "" : (text[position] ?? "");
  const what = token === "" ? message.replace(/, .*$/s, "") : `Unexpected token ${JSON.stringify(token)}`;
  return { code: "DECODE_FAILED", reason: `Not JSON: ${what}${position === null ? "" : ` at position ${position}`}` };
}
