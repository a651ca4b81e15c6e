import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { ColumnTypeSpec, Value } from "../definitions/value.ts";
import { readTime } from "../feature_store/lookup.ts";
import { createJsonScanner, type JsonScanner } from "./json-scanner.ts";

/** The rows of a predict body, each as its lookup's values; null for a body of any other form or with an error. */
export type PlainRows = (bytes: Uint8Array, from: number, to: number) => Value[][] | null;

const ROWS: Uint8Array = Buffer.from('"rows"');
const TRUE: Uint8Array = Buffer.from("true");
const FALSE: Uint8Array = Buffer.from("false");
const NULL: Uint8Array = Buffer.from("null");
const [OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COLON, COMMA, QUOTE, SMALL_N] = [
  0x7b, 0x7d, 0x5b, 0x5d, 0x3a, 0x2c, 0x22, 0x6e,
] as const;
/** Digits of which a double holds any number. */
const SHORT_DIGITS = /^-?\d{1,15}$/;

/**
 * Compiles how the body `{"rows": [{…}, …]}` is read for a service, without making objects of it: a row has each lookup
 * column once, and nothing else. Values are read as `compileLookup` reads them. What is allowed but rare (escapes in
 * texts, lists, other members of the body) is not read, and neither is anything that is wrong: null means to ask the
 * ordinary reader, which tells.
 */
export function compilePlainRows(lookup: FeatureServiceMeta["lookup"], maxRows: number): PlainRows | null {
  const names = lookup.map(({ name }) => JSON.stringify(name));
  if (names.some((name) => name.includes("\\")) || lookup.some(({ type }) => type.kind === "list")) return null;
  const quoted: Uint8Array[] = names.map((name) => Buffer.from(name));
  const width = lookup.length;
  /** Column by place in a row, as the last row had them: clients write all rows alike. */
  const order = lookup.map((_, column) => column);
  const scanner = createJsonScanner();

  function column(place: number): number {
    const expected = order[place]!;
    if (scanner.takeAll(quoted[expected]!)) return expected;
    const other = quoted.findIndex((name) => scanner.takeAll(name));
    if (other >= 0) order[place] = other;
    return other;
  }

  function row(): Value[] | null {
    if (!scanner.take(OPEN)) return null;
    const values = new Array<Value>(width);
    // Undefined until it is read: a name that comes twice is not plain.
    for (let place = 0; place < width; place++) {
      if (place > 0 && !scanner.take(COMMA)) return null;
      const at = column(place);
      if (at < 0 || values[at] !== undefined || !scanner.take(COLON)) return null;
      const { type, role } = lookup[at]!;
      const value = readValue(scanner, type, role === "key" || type.nullable);
      if (value === undefined) return null;
      values[at] = value;
    }
    return scanner.take(CLOSE) ? values : null;
  }

  return (bytes, from, to) => {
    scanner.start(bytes, from, to);
    if (!scanner.take(OPEN) || !scanner.takeAll(ROWS) || !scanner.take(COLON) || !scanner.take(OPEN_LIST)) return null;
    const rows: Value[][] = [];
    do {
      if (rows.length === maxRows) return null;
      const values = row();
      if (values === null) return null;
      rows.push(values);
    } while (scanner.take(COMMA));
    return scanner.take(CLOSE_LIST) && scanner.take(CLOSE) && Number.isNaN(scanner.peek()) ? rows : null;
  };
}

function readValue(scanner: JsonScanner, type: ColumnTypeSpec, mayBeNull: boolean): Value | undefined {
  if (type.kind === "float64") {
    const number = scanner.number();
    // −0 is 0; NaN is no number, or null.
    if (Number.isFinite(number)) return number + 0;
    return readNull(scanner, mayBeNull);
  }
  const first = scanner.peek();
  if (first === SMALL_N) return readNull(scanner, mayBeNull);
  switch (type.kind) {
    case "int32": {
      const number = scanner.number();
      return Number.isInteger(number) && Math.abs(number) < 2 ** 31 ? number + 0 : undefined;
    }
    case "int64": {
      if (first !== QUOTE) {
        const number = scanner.number();
        return Number.isSafeInteger(number) ? BigInt(number) : undefined;
      }
      const text = readText(scanner);
      return text !== null && SHORT_DIGITS.test(text) ? BigInt(text) : undefined;
    }
    case "bool":
      return scanner.takeAll(TRUE) ? true : scanner.takeAll(FALSE) ? false : undefined;
    case "timestamp":
      return readTime(first === QUOTE ? readText(scanner) : scanner.number()) ?? undefined;
    case "string":
      return readText(scanner) ?? undefined;
    case "one_of": {
      const text = readText(scanner);
      return text !== null && type.values?.includes(text) ? text : undefined;
    }
    case "list":
      return undefined;
  }
}

function readNull(scanner: JsonScanner, mayBeNull: boolean): null | undefined {
  return mayBeNull && scanner.takeAll(NULL) ? null : undefined;
}

function readText(scanner: JsonScanner): string | null {
  const bytes = scanner.text();
  if (bytes === null) return null;
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}
