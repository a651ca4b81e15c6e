import { millraceError } from "../../definitions/errors.ts";

/** A schema of Avro, its names resolved. */
export interface AvroType {
  /** Of what kind its bytes are. */
  readonly kind: string;
  /** The full name; null where there is none. */
  readonly name: string | null;
  /** Its full name and its aliases. */
  readonly names: readonly string[];
  /** A logical type that changes what is read. */
  logical: ((value: unknown) => unknown) | null;
  /** Of a long: all its digits are kept. */
  exact: boolean;
  fields: readonly AvroField[];
  symbols: readonly string[];
  /** The symbol that an enum reads for those that it lacks. */
  fallback: string | null;
  size: number;
  /** Of an array or a map. */
  item: AvroType | null;
  /** Of a union. */
  branches: readonly AvroType[];
  /** Of a union: what is read tells the branch by itself. */
  plain: boolean;
}

export interface AvroField {
  readonly name: string;
  readonly names: readonly string[];
  readonly type: AvroType;
  /** As JSON; undefined: none. */
  readonly fallback: unknown;
}

type Schema = Readonly<Record<string, unknown>>;

const PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];
const DAY_MS = 86_400_000;

/**
 * Reads schemas, those first that others name. Timestamps are Dates and decimals numbers, in the units that the schema
 * says; of longs `exact` keeps all digits, save those of an unknown logical type. @throws `SCHEMA_INVALID`
 */
export function avroSchema(texts: readonly string[], exact: boolean): AvroType {
  const known = new Map<string, AvroType>();
  let type: AvroType | null = null;
  try {
    for (const text of texts) type = typeOf(JSON.parse(text), "", known, exact, false);
  } catch (cause) {
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (type === null) throw invalid("there is none");
  return type;
}

function invalid(why: string, cause?: unknown): Error {
  return millraceError("SCHEMA_INVALID", `The schema is no Avro schema: ${why}.`, { cause });
}

function blank(kind: string, name: string | null, names: readonly string[], exact: boolean): AvroType {
  return {
    ...{ kind, name, names, logical: null, exact: kind === "long" && exact, fields: [], symbols: [], fallback: null },
    ...{ size: 0, item: null, branches: [], plain: true },
  };
}

function typeOf(
  json: unknown,
  space: string,
  known: Map<string, AvroType>,
  exact: boolean,
  underLogical: boolean,
): AvroType {
  if (typeof json === "string") {
    const found = known.get(qualified(json, space));
    if (found !== undefined) return found;
    if (PRIMITIVES.includes(json)) return blank(json, null, [], exact);
    throw new TypeError(`undefined type name: ${json}`);
  }
  if (Array.isArray(json)) {
    const union = blank("union", null, [], exact);
    union.branches = json.map((branch: unknown) => typeOf(branch, space, known, exact, false));
    union.plain = isPlain(union.branches);
    return union;
  }
  if (typeof json !== "object" || json === null) throw new TypeError(`${JSON.stringify(json)} is none`);
  const schema = json as Schema;
  if (typeof schema.logicalType === "string" && !underLogical) {
    const convert = logicalType(schema);
    const digits = exact && (convert !== null || schema.type !== "long");
    const type = typeOf(schema, space, known, digits, true);
    type.logical = convert;
    return type;
  }
  const kind = schema.type;
  if (typeof kind !== "string") return typeOf(kind, space, known, exact, false);
  if (PRIMITIVES.includes(kind)) return blank(kind, null, [], exact);
  return complexType(kind, schema, space, known, exact);
}

function complexType(
  kind: string,
  schema: Schema,
  outer: string,
  known: Map<string, AvroType>,
  exact: boolean,
): AvroType {
  const space = typeof schema.namespace === "string" ? schema.namespace : outer;
  const name = typeof schema.name === "string" ? qualified(schema.name, space) : null;
  const aliases = ((schema.aliases ?? []) as string[]).map((alias) => qualified(alias, space));
  const type = blank(kind === "error" ? "record" : kind, name, name === null ? [] : [name, ...aliases], exact);
  if (name !== null) {
    if (known.has(name)) throw new TypeError(`duplicate type name: ${name}`);
    known.set(name, type);
  }
  const inner = name === null ? space : name.slice(0, Math.max(0, name.lastIndexOf(".")));
  switch (type.kind) {
    case "record":
      type.fields = (schema.fields as Schema[]).map((field) => ({
        name: field.name as string,
        names: [field.name as string, ...((field.aliases ?? []) as string[])],
        type: typeOf(field.type, inner, known, exact, false),
        fallback: field.default,
      }));
      return type;
    case "enum":
      type.symbols = schema.symbols as string[];
      type.fallback = (schema.default as string | undefined) ?? null;
      return type;
    case "fixed":
      type.size = schema.size as number;
      return type;
    case "array":
    case "map":
      type.item = typeOf(type.kind === "array" ? schema.items : schema.values, space, known, exact, false);
      return type;
    default:
      throw new TypeError(`unknown type: ${kind}`);
  }
}

function qualified(name: string, space: string): string {
  const last = name.slice(name.lastIndexOf(".") + 1);
  if (PRIMITIVES.includes(last)) return last;
  return name.includes(".") || space === "" ? name : `${space}.${name}`;
}

/** The name of a union's branch, by which ambiguous values are wrapped. */
export function branchName({ name, kind }: AvroType): string {
  return name ?? kind;
}

function isPlain(branches: readonly AvroType[]): boolean {
  const seen = new Set<string>();
  for (const { kind, logical, exact } of branches) {
    if (logical !== null) continue;
    const bucket = bucketOf(kind, exact);
    if (seen.has(bucket)) return false;
    seen.add(bucket);
  }
  return true;
}

function bucketOf(kind: string, exact: boolean): string {
  if (kind === "long" && exact) return "bigint";
  if (["int", "long", "float", "double"].includes(kind)) return "number";
  if (kind === "fixed") return "bytes";
  if (kind === "enum") return "string";
  return kind === "map" ? "record" : kind;
}

function logicalType(schema: Schema): ((value: unknown) => unknown) | null {
  const time = (perMs: number) => (value: unknown) => new Date(floorDivide(value as number | bigint, perMs));
  switch (schema.logicalType) {
    case "timestamp-millis":
    case "local-timestamp-millis":
      return time(1);
    case "timestamp-micros":
    case "local-timestamp-micros":
      return time(1_000);
    case "timestamp-nanos":
      return time(1_000_000);
    case "date":
      return (days) => new Date((days as number) * DAY_MS);
    case "decimal":
      return (bytes) => decimal(bytes as Uint8Array, Number(schema.scale ?? 0));
    default:
      return null;
  }
}

function floorDivide(value: number | bigint, by: number): number {
  if (typeof value === "number") return Math.floor(value / by);
  const divisor = BigInt(by);
  const quotient = value / divisor;
  return Number(value < 0n && quotient * divisor !== value ? quotient - 1n : quotient);
}

/** A two's complement integer, most significant byte first, over a power of ten. */
function decimal(bytes: Uint8Array, scale: number): number {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  value = BigInt.asIntN(bytes.length * 8, value);
  return Number(`${value}e-${scale}`);
}
