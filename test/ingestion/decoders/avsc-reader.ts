import type { Schema, Type, types } from "avsc";
import type { RegisteredSchema } from "../../../src/ingestion/decoders/schema-registry.ts";
import { ingestionError } from "../../../src/ingestion/ingestion-error.ts";

type Avsc = typeof import("avsc");

/** Reads one encoded record. Throws whatever is wrong with it. */
export type AvroRead = (bytes: Buffer) => Readonly<Record<string, unknown>>;

export interface AvroReaders {
  /** Of messages written with a schema; `references` are schemas that it names. */
  reader(schema: Pick<RegisteredSchema, "text" | "references">): AvroRead;
}

export interface AvroReadersOptions {
  /** What messages are read as, whatever they were written with; null: as they were written. */
  readonly readerSchema: string | null;
  /** Longs as bigints with all digits; else numbers, and a long beyond 2^53 fails. */
  readonly exactLongs: boolean;
}

/** What Millrace's own reader is held against: avsc, with the same logical types. */
export async function avscReaders(options: AvroReadersOptions): Promise<AvroReaders> {
  const avsc = await importAvsc();
  const target =
    options.readerSchema === null ? null : parse(avsc, options.readerSchema, [], options, "the reader's schema");
  return {
    reader({ text, references }) {
      const written = parse(avsc, text, references, options, "the writer's schema");
      if (target === null) return (bytes) => written.fromBuffer(bytes) as Record<string, unknown>;
      let resolver: ReturnType<Type["createResolver"]>;
      try {
        resolver = target.createResolver(written);
      } catch (cause) {
        throw invalid(`The reader's schema cannot read what was written: ${said(cause)}.`, cause);
      }
      return (bytes) => target.fromBuffer(bytes, resolver) as Record<string, unknown>;
    },
  };
}

function parse(
  avsc: Avsc,
  text: string,
  references: RegisteredSchema["references"],
  { exactLongs }: AvroReadersOptions,
  what: string,
): Type {
  const registry: Record<string, Type> = {};
  const logicalTypes = logicalTypesOf(avsc);
  const long = exactLong(avsc);
  const isLong = longFinder();
  const forOne = (schema: string): Type =>
    avsc.Type.forSchema(
      JSON.parse(schema) as Schema,
      {
        registry,
        logicalTypes,
        ...(exactLongs ? { typeHook: (found: Schema) => (isLong(found) ? long : undefined) } : {}),
      } as Parameters<Avsc["Type"]["forSchema"]>[1],
    );
  try {
    for (const reference of references) forOne(reference.text);
    return forOne(text);
  } catch (cause) {
    throw invalid(`${what[0]!.toUpperCase()}${what.slice(1)} is no Avro schema: ${said(cause)}.`, cause);
  }
}

/**
 * Tells longs, also those within a logical type: avsc asks for that schema twice, for the logical type and for what is
 * under it.
 */
function longFinder(): (schema: unknown) => boolean {
  const asked = new WeakSet<object>();
  return (schema) => {
    if (schema === "long") return true;
    if (typeof schema !== "object" || schema === null || !("type" in schema) || schema.type !== "long") return false;
    if (!("logicalType" in schema) || asked.has(schema)) return true;
    asked.add(schema);
    return false;
  };
}

/** Longs as bigints. Source: avsc's documentation of `LongType.__with`. */
function exactLong(avsc: Avsc): Type {
  return avsc.types.LongType.__with({
    fromBuffer: (bytes: Buffer) => bytes.readBigInt64LE(),
    toBuffer: (value: bigint) => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(value);
      return bytes;
    },
    fromJSON: BigInt,
    toJSON: Number,
    isValid: (value: unknown) => typeof value === "bigint",
    compare: (a: bigint, b: bigint) => (a === b ? 0 : a < b ? -1 : 1),
  } as never) as unknown as Type;
}

type Copy = (value: unknown, options: object) => unknown;
type Converting = new (schema: Schema, options?: unknown) => types.LogicalType;

/** Timestamps become Dates and decimals numbers, in the units that the schema says. */
function logicalTypesOf(avsc: Avsc): Record<string, Converting> {
  const { LogicalType } = avsc.types;
  const converting = (convert: (value: never, schema: Readonly<Record<string, unknown>>) => unknown): Converting =>
    class extends LogicalType {
      readonly written: Readonly<Record<string, unknown>>;
      constructor(schema: Schema, options?: never) {
        super(schema, options);
        this.written = schema as unknown as Readonly<Record<string, unknown>>;
      }
      protected override _fromValue(value: unknown): unknown {
        return convert(value as never, this.written);
      }
      protected override _toValue(): unknown {
        // Nothing is ever written.
        return undefined;
      }
      /** Of a default: from JSON once (coerce 2), then as it is. */
      _copy(value: unknown, options?: { readonly coerce?: number }): unknown {
        if (options?.coerce !== 2) return value;
        const { underlyingType } = this as unknown as { readonly underlyingType: { _copy: Copy } };
        return this._fromValue(underlyingType._copy(value, options));
      }
      /** It is called with defaults when a schema is compiled. */
      _write(): void {}
      protected override _resolve(type: Type): ((value: unknown) => unknown) | undefined {
        if (type.typeName.startsWith("logical:")) return (value) => value;
        return ["long", "int", "abstract:long", "bytes", "fixed"].includes(type.typeName)
          ? (value) => this._fromValue(value)
          : undefined;
      }
    } as never;
  const time = (perMs: number): Converting =>
    converting((value: number | bigint) => new Date(floorDivide(value, perMs)));
  return {
    "timestamp-millis": time(1),
    "timestamp-micros": time(1_000),
    "timestamp-nanos": time(1_000_000),
    "local-timestamp-millis": time(1),
    "local-timestamp-micros": time(1_000),
    date: converting((days: number) => new Date(days * 86_400_000)),
    decimal: converting((bytes: Buffer, schema) => decimal(bytes, Number(schema.scale ?? 0))),
  };
}

function floorDivide(value: number | bigint, by: number): number {
  if (typeof value === "number") return Math.floor(value / by);
  const divisor = BigInt(by);
  const quotient = value / divisor;
  return Number(value < 0n && quotient * divisor !== value ? quotient - 1n : quotient);
}

/** A two's complement integer, most significant byte first, over a power of ten. */
function decimal(bytes: Buffer, scale: number): number {
  let value = 0n;
  for (const byte of bytes) value = (value << 8n) | BigInt(byte);
  value = BigInt.asIntN(bytes.length * 8, value);
  return Number(`${value}e-${scale}`);
}

async function importAvsc(): Promise<Avsc> {
  try {
    // The package is CommonJS: its exports are the default.
    const module = (await import("avsc")) as Avsc & { readonly default?: Avsc };
    return module.default ?? module;
  } catch (cause) {
    throw ingestionError("PACKAGE_MISSING", "Avro needs the package avsc, which is not installed: npm install avsc", {
      cause,
    });
  }
}

function invalid(message: string, cause: unknown): Error {
  return ingestionError("SCHEMA_INVALID", message, { cause });
}

function said(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
