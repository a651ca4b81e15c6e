import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { fromStoredText, needsEscape, toStoredText } from "./postgres-text.ts";
import { readTime, timeText, writeTime } from "./postgres-time.ts";

/** Bytes that grow: what a COPY sends. */
export interface CopyBytes {
  bytes: Buffer;
  view: DataView;
  /** Where the next byte goes. */
  at: number;
}

/** How the values of one column enter and leave PostgreSQL's binary form. */
export interface PostgresColumn {
  /** The type for CREATE TABLE and casts. */
  readonly sql: string;
  /** Its object identifier, which arrays name. */
  readonly oid: number;
  /** Writes length and bytes of a value that is not null. */
  write(out: CopyBytes, value: Value): void;
  /** Reads a value of `length` bytes. */
  read(bytes: Buffer, view: DataView, at: number, length: number): Value;
}

export function copyBytes(size: number): CopyBytes {
  const bytes = Buffer.allocUnsafeSlow(size);
  return { bytes, view: viewOf(bytes), at: 0 };
}

export function viewOf(bytes: Buffer): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Makes room for `more` bytes. */
export function reserve(out: CopyBytes, more: number): void {
  if (out.at + more <= out.bytes.length) return;
  const bytes = Buffer.allocUnsafeSlow(Math.max(2 * out.bytes.length, out.at + more));
  out.bytes.copy(bytes, 0, 0, out.at);
  out.bytes = bytes;
  out.view = viewOf(bytes);
}

/** A value as PostgreSQL reads it from text, for a parameter or, quoted, a constant of its column's type. */
export function valueText(type: ColumnTypeSpec, value: Value): string {
  if (type.kind === "timestamp") return timeText(value as number);
  return toStoredText(String(value).toWellFormed());
}

/** A value of any column, with its null. */
export function writeField(out: CopyBytes, column: PostgresColumn, value: Value): void {
  if (value !== null) {
    column.write(out, value);
    return;
  }
  reserve(out, 4);
  out.view.setInt32(out.at, -1);
  out.at += 4;
}

/** The column of a declared type, with the type that any other tool sees too. */
export function postgresColumn(type: ColumnTypeSpec): PostgresColumn {
  switch (type.kind) {
    case "string":
    case "one_of":
      return textColumn;
    case "int64":
      return int64Column;
    case "int32":
      return int32Column;
    case "float64":
      return float64Column;
    case "bool":
      return boolColumn;
    case "timestamp":
      return timeColumn;
    case "list":
      return type.item!.kind === "list" ? jsonColumn(type) : arrayColumn(postgresColumn(type.item!));
  }
}

export const int32Column: PostgresColumn = fixed("integer", 23, 4, {
  write: (view, at, value) => view.setInt32(at, value as number),
  read: (view, at) => view.getInt32(at),
});

export const float64Column: PostgresColumn = fixed("double precision", 701, 8, {
  write: (view, at, value) => view.setFloat64(at, value as number),
  read: (view, at) => view.getFloat64(at),
});

export const timeColumn: PostgresColumn = fixed("timestamptz", 1184, 8, {
  write: (view, at, value) => writeTime(view, at, value as number),
  read: readTime,
});

export const int64Column: PostgresColumn = fixed("bigint", 20, 8, {
  write: (view, at, value) => view.setBigInt64(at, value as bigint),
  read: (view, at) => view.getBigInt64(at),
});

const boolColumn: PostgresColumn = fixed("boolean", 16, 1, {
  write: (view, at, value) => view.setUint8(at, value === true ? 1 : 0),
  read: (view, at) => view.getUint8(at) === 1,
});

const TWO_32 = 2 ** 32;

/** A column of integers up to 2^53, as bigint. */
export const wideColumn: PostgresColumn = fixed("bigint", 20, 8, {
  write(view, at, value) {
    const high = Math.floor((value as number) / TWO_32);
    view.setInt32(at, high);
    view.setUint32(at + 4, (value as number) - high * TWO_32);
  },
  read: (view, at) => view.getInt32(at) * TWO_32 + view.getUint32(at + 4),
});

function fixed(
  sql: string,
  oid: number,
  size: number,
  {
    write,
    read,
  }: {
    write: (view: DataView, at: number, value: Value) => void;
    read: (view: DataView, at: number) => Value;
  },
): PostgresColumn {
  return {
    sql,
    oid,
    write(out, value) {
      reserve(out, size + 4);
      out.view.setInt32(out.at, size);
      write(out.view, out.at + 4, value);
      out.at += size + 4;
    },
    read: (_bytes, view, at) => read(view, at),
  };
}

/** Up to so many characters a loop is faster than a call of the runtime's encoder. */
const SHORT = 40;

/** Compared byte by byte: any order does that groups keys, and this one is the fastest. */
export const textColumn: PostgresColumn = {
  sql: 'text COLLATE "C"',
  oid: 25,
  write(out, value) {
    writeText(out, value as string);
  },
  read: (bytes, _view, at, length) => readText(bytes, at, length),
};

function writeText(out: CopyBytes, text: string): void {
  const { length } = text;
  reserve(out, 3 * length + 4);
  const start = out.at + 4;
  const { bytes } = out;
  if (length <= SHORT) {
    let index = 0;
    for (; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit === 0 || unit >= 0x80) break;
      bytes[start + index] = unit;
    }
    if (index === length) {
      out.view.setInt32(out.at, length);
      out.at = start + length;
      return;
    }
  }
  if (needsEscape(text)) {
    writeBytes(out, Buffer.from(toStoredText(text)));
    return;
  }
  const written = bytes.write(text, start, "utf8");
  out.view.setInt32(out.at, written);
  out.at = start + written;
}

function writeBytes(out: CopyBytes, from: Buffer): void {
  reserve(out, from.length + 4);
  out.view.setInt32(out.at, from.length);
  from.copy(out.bytes, out.at + 4);
  out.at += from.length + 4;
}

function readText(bytes: Buffer, start: number, length: number): string {
  const end = start + length;
  if (length <= SHORT) {
    let text = "";
    let at = start;
    // Four at a time: each call and each concatenation costs more than the characters themselves.
    for (; at + 4 <= end; at += 4) {
      const a = bytes[at]!;
      const b = bytes[at + 1]!;
      const c = bytes[at + 2]!;
      const d = bytes[at + 3]!;
      if ((a | b | c | d) >= 0x80) return readLongText(bytes, start, end);
      text += String.fromCharCode(a, b, c, d);
    }
    for (; at < end; at++) {
      const unit = bytes[at]!;
      if (unit >= 0x80) return readLongText(bytes, start, end);
      text += String.fromCharCode(unit);
    }
    return text;
  }
  return readLongText(bytes, start, end);
}

function readLongText(bytes: Buffer, start: number, end: number): string {
  return fromStoredText(bytes.toString("utf8", start, end));
}

/** A list, as an array. */
function arrayColumn(item: PostgresColumn): PostgresColumn {
  return {
    sql: `${item.sql.split(" COLLATE")[0]}[]`,
    oid: 0,
    write(out, value) {
      const items = value as readonly Value[];
      reserve(out, 24);
      const start = out.at;
      out.at += 4;
      const header =
        items.length === 0 ? [0, 0, item.oid] : [1, items.includes(null) ? 1 : 0, item.oid, items.length, 1];
      for (const word of header) {
        out.view.setInt32(out.at, word);
        out.at += 4;
      }
      for (const each of items) writeField(out, item, each);
      out.view.setInt32(start, out.at - start - 4);
    },
    read(bytes, view, at) {
      if (view.getInt32(at) === 0) return [];
      const count = view.getInt32(at + 12);
      const items = new Array<Value>(count);
      let position = at + 20;
      for (let index = 0; index < count; index++) {
        const length = view.getInt32(position);
        position += 4;
        items[index] = length < 0 ? null : item.read(bytes, view, position, length);
        if (length > 0) position += length;
      }
      return items;
    },
  };
}

/** Lists of lists, as jsonb: PostgreSQL's arrays cannot be ragged. */
function jsonColumn(type: ColumnTypeSpec): PostgresColumn {
  const JSONB_VERSION = 1;
  let leaf = type;
  while (leaf.kind === "list") leaf = leaf.item!;
  const isText = leaf.kind === "string" || leaf.kind === "one_of";
  const isInt64 = leaf.kind === "int64";
  const revive = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    if (isText && typeof value === "string") return fromStoredText(value);
    return isInt64 && typeof value === "number" ? BigInt(context?.source ?? value) : value;
  };
  return {
    sql: "jsonb",
    oid: 3802,
    write(out, value) {
      writeBytes(out, Buffer.from(`${String.fromCharCode(JSONB_VERSION)}${jsonText(value)}`));
    },
    read: (bytes, _view, at, length) =>
      JSON.parse(bytes.toString("utf8", at + 1, at + length), revive) as readonly Value[],
  };
}

function jsonText(value: Value): string {
  if (Array.isArray(value)) return `[${value.map(jsonText).join(",")}]`;
  return typeof value === "string" ? JSON.stringify(toStoredText(value.toWellFormed())) : String(value);
}
