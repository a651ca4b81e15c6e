import { millraceError } from "../../definitions/errors.ts";
import { type AvroCursor, avroCursor, MOST_SAFE, type Utf8Text } from "./avro-cursor.ts";
import { type AvroField, type AvroType, avroSchema, branchName } from "./avro-schema.ts";

export interface AvroRecordOptions {
  /** Schemas that the writer's names, those first that others need. */
  readonly references?: readonly string[];
  /** What messages are read as; null: as they were written. */
  readonly readerSchema: string | null;
  /** Longs as bigints with all digits; else numbers, and a long beyond 2^53 fails. */
  readonly exactLongs: boolean;
  readonly utf8Text: Utf8Text;
}

type Cursor = AvroCursor;
type Read = (cursor: Cursor) => unknown;

/**
 * Compiles the reader of records that were written with a schema, by closures: no code is generated, and it also runs
 * where Node is not. A damaged count takes no memory. It throws whatever is wrong with a record. @throws `SCHEMA_INVALID`
 */
export function avroRecord(
  schema: string,
  options: AvroRecordOptions,
): (bytes: Uint8Array, start: number) => Readonly<Record<string, unknown>> {
  const { references = [], readerSchema, exactLongs, utf8Text } = options;
  const written = avroSchema([...references, schema], exactLongs);
  const known: Known = new Map();
  let read: Read;
  if (readerSchema === null) {
    read = reading(written, known);
  } else {
    try {
      read = resolving(written, avroSchema([readerSchema], exactLongs), known);
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause);
      throw millraceError("SCHEMA_INVALID", `The reader's schema cannot read what was written: ${said}.`, { cause });
    }
  }
  return (bytes, start) => {
    const cursor = avroCursor(bytes, start, utf8Text);
    const value = read(cursor);
    if (cursor.at < bytes.length) throw new RangeError("trailing data");
    return value as Record<string, unknown>;
  };
}

/** Readers of records, which may hold themselves. */
type Known = Map<string, { read: Read | null }>;

/** Reads a type as it was written. */
function reading(type: AvroType, known: Known): Read {
  const plain = readingPlain(type, known);
  const { logical } = type;
  return logical === null ? plain : (cursor) => logical(plain(cursor));
}

function readingPlain(type: AvroType, known: Known): Read {
  switch (type.kind) {
    case "null":
      return () => null;
    case "boolean":
      return (cursor) => cursor.byte() !== 0;
    case "int":
      return (cursor) => cursor.long();
    case "long":
      return type.exact ? (cursor) => cursor.exactLong() : safeLong;
    case "float":
      return (cursor) => cursor.view.getFloat32(cursor.take(4), true);
    case "double":
      return (cursor) => cursor.view.getFloat64(cursor.take(8), true);
    case "bytes":
      return (cursor) => cursor.slice(cursor.long());
    case "string":
      return (cursor) => cursor.text();
    case "fixed":
      return (cursor) => cursor.slice(type.size);
    case "enum":
      return readingEnum(type.symbols);
    case "array":
      return readingArray(reading(type.item!, known));
    case "map":
      return readingMap(reading(type.item!, known));
    case "union":
      return readingUnion(type.branches.map((branch) => wrapped(type, branch, reading(branch, known))));
    default:
      return recursive(`written ${type.name}`, type, known, () => {
        const reads = type.fields.map((field) => [field.name, reading(field.type, known)] as const);
        return (cursor) => {
          const record: Record<string, unknown> = {};
          for (const [name, read] of reads) record[name] = read(cursor);
          return record;
        };
      });
  }
}

function safeLong(cursor: Cursor): number {
  const value = cursor.long();
  if (value > MOST_SAFE || value < -MOST_SAFE) throw new RangeError("potential precision loss");
  return value;
}

function readingEnum(symbols: readonly (string | null)[]): Read {
  return (cursor) => {
    const index = cursor.long();
    const symbol = symbols[index];
    if (symbol === undefined) throw new RangeError(`invalid enum index: ${index}`);
    return symbol;
  };
}

function readingUnion(branches: readonly Read[]): Read {
  return (cursor) => {
    const index = cursor.long();
    const branch = branches[index];
    if (branch === undefined) throw new RangeError(`invalid union index: ${index}`);
    return branch(cursor);
  };
}

/** A value of an ambiguous union is an object with its branch as its one key. */
function wrapped(union: AvroType, branch: AvroType, read: Read): Read {
  if (union.plain || branch.kind === "null") return read;
  const name = branchName(branch);
  return (cursor) => ({ [name]: read(cursor) });
}

function readingArray(read: Read): Read {
  return (cursor) => {
    const items: unknown[] = [];
    for (let left = blockCount(cursor, 0); left > 0; left = blockCount(cursor, items.length)) {
      for (; left > 0; left--) items.push(read(cursor));
    }
    return items;
  };
}

function readingMap(read: Read): Read {
  return (cursor) => {
    const map: Record<string, unknown> = {};
    for (let left = blockCount(cursor, 0); left > 0; left = blockCount(cursor, 0)) {
      for (; left > 0; left--) {
        const key = cursor.text();
        map[key] = read(cursor);
      }
    }
    return map;
  };
}

/** Items that take no bytes, such as nulls: more of them are no list, but an attack on memory. */
const MOST_EMPTY = 10_000;

function blockCount(cursor: Cursor, before: number): number {
  const count = cursor.long();
  const items = Math.abs(count);
  if (items + before > cursor.bytes.length + MOST_EMPTY) throw new RangeError("truncated buffer");
  // Its size in bytes.
  if (count < 0) cursor.long();
  return items;
}

function recursive(id: string, type: AvroType, known: Known, make: () => Read): Read {
  if (type.name === null) return make();
  let entry = known.get(id);
  if (entry === undefined) {
    entry = { read: null };
    known.set(id, entry);
    entry.read = make();
  }
  const found = entry;
  return (cursor) => found.read!(cursor);
}

/** Reads what was written as one type as another, by Avro's rules of schema resolution. Throws if it cannot. */
function resolving(written: AvroType, wanted: AvroType, known: Known): Read {
  if (written.kind === "union") {
    return readingUnion(written.branches.map((branch) => resolving(branch, wanted, known)));
  }
  if (wanted.kind === "union") {
    for (const branch of wanted.branches) {
      let read: Read;
      try {
        read = resolving(written, branch, known);
      } catch {
        continue;
      }
      return wrapped(wanted, branch, read);
    }
    throw cannot(written, wanted);
  }
  const { logical } = wanted;
  if (logical === null) return resolvingPlain(written, wanted, known);
  // In the writer's unit, if it had one.
  if (written.logical !== null) return reading(written, known);
  if (!["long", "int", "bytes", "fixed"].includes(written.kind)) throw cannot(written, wanted);
  const plain = readingPlain(written, known);
  return (cursor) => logical(plain(cursor));
}

function resolvingPlain(written: AvroType, wanted: AvroType, known: Known): Read {
  const same = written.kind === wanted.kind;
  switch (wanted.kind) {
    case "long":
      if (written.kind === "int") {
        return wanted.exact ? (cursor) => BigInt(cursor.long()) : (cursor) => cursor.long();
      }
      break;
    case "float":
    case "double":
      if (written.kind === "int" || written.kind === "long") return (cursor) => cursor.long();
      if (written.kind === "float") return readingPlain(written, known);
      break;
    case "string":
    case "bytes":
      if (written.kind === "string" || written.kind === "bytes") return readingPlain(wanted, known);
      break;
    case "fixed":
      if (same && written.size === wanted.size && isNamed(written, wanted)) return readingPlain(wanted, known);
      throw cannot(written, wanted);
    case "enum":
      if (same && isNamed(written, wanted)) return resolvingEnum(written, wanted);
      throw cannot(written, wanted);
    case "array":
      if (same) return readingArray(resolving(written.item!, wanted.item!, known));
      break;
    case "map":
      if (same) return readingMap(resolving(written.item!, wanted.item!, known));
      break;
    case "record":
      if (same && isNamed(written, wanted)) {
        const id = `${written.name} as ${wanted.name}`;
        return recursive(id, wanted, known, () => resolvingRecord(written, wanted, known));
      }
      throw cannot(written, wanted);
  }
  if (same) return readingPlain(wanted, known);
  throw cannot(written, wanted);
}

function isNamed(written: AvroType, wanted: AvroType): boolean {
  return written.name === null || wanted.names.includes(written.name);
}

function resolvingEnum(written: AvroType, wanted: AvroType): Read {
  const symbols = written.symbols.map((symbol) => (wanted.symbols.includes(symbol) ? symbol : wanted.fallback));
  if (symbols.includes(null)) throw cannot(written, wanted);
  return readingEnum(symbols);
}

function resolvingRecord(written: AvroType, wanted: AvroType, known: Known): Read {
  const targets = new Map<string, [string, Read][]>();
  const fallbacks: (readonly [string, () => unknown])[] = [];
  for (const field of wanted.fields) {
    const from = written.fields.filter((one) => field.names.includes(one.name));
    if (from.length > 1) throw new TypeError(`ambiguous aliasing for ${wanted.name}.${field.name}`);
    const [source] = from;
    if (source === undefined) {
      fallbacks.push([field.name, fallbackOf(field, wanted)]);
    } else {
      const own = targets.get(source.name) ?? [];
      own.push([field.name, resolving(source.type, field.type, known)]);
      targets.set(source.name, own);
    }
  }
  const steps = written.fields.map((field) => ({
    targets: targets.get(field.name) ?? [],
    skip: reading(field.type, known),
  }));
  return (cursor) => {
    const record: Record<string, unknown> = {};
    for (const step of steps) {
      const from = cursor.at;
      if (step.targets.length === 0) step.skip(cursor);
      for (const [name, read] of step.targets) {
        cursor.at = from;
        record[name] = read(cursor);
      }
    }
    for (const [name, make] of fallbacks) record[name] = make();
    return record;
  };
}

function fallbackOf(field: AvroField, record: AvroType): () => unknown {
  if (field.fallback === undefined) {
    throw new TypeError(`no matching field for default-less ${record.name}.${field.name}`);
  }
  const { type, fallback } = field;
  defaultValue(type, fallback);
  return () => defaultValue(type, fallback);
}

/** The value of a default, which is JSON and of a union's first branch. */
function defaultValue(type: AvroType, json: unknown): unknown {
  const plain = plainDefault(type, json);
  return type.logical === null ? plain : type.logical(plain);
}

function plainDefault(type: AvroType, json: unknown): unknown {
  switch (type.kind) {
    case "long":
      return type.exact ? BigInt(json as number) : json;
    case "bytes":
    case "fixed":
      return Uint8Array.from(json as string, (character) => character.charCodeAt(0) & 255);
    case "array":
      return (json as unknown[]).map((item) => defaultValue(type.item!, item));
    case "map":
      return Object.fromEntries(
        Object.entries(json as object).map(([key, item]) => [key, defaultValue(type.item!, item)]),
      );
    case "union": {
      const first = type.branches[0]!;
      const value = defaultValue(first, json);
      return type.plain || first.kind === "null" ? value : { [branchName(first)]: value };
    }
    case "record":
      return Object.fromEntries(
        type.fields.map((field) => {
          const own = (json as Record<string, unknown>)[field.name];
          return [field.name, defaultValue(field.type, own === undefined ? field.fallback : own)];
        }),
      );
    default:
      return json;
  }
}

function cannot(written: AvroType, wanted: AvroType): Error {
  return new TypeError(`cannot read ${branchName(written)} as ${branchName(wanted)}`);
}
