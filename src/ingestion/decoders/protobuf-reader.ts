import type { Field, Type } from "protobufjs";
import { ingestionError } from "../ingestion-error.ts";
import { PROTOBUF_TIMESTAMP, PROTOBUF_WRAPPER, protobufSchema } from "./protobuf-schema.ts";
import type { RegisteredSchema } from "./schema-registry.ts";
import { readMessageIndexes } from "./wire-format.ts";

type Protobuf = typeof import("protobufjs");

/** Reads one encoded message, from `start` on. Throws whatever is wrong with it. */
export type ProtobufRead = (bytes: Uint8Array, start: number) => Readonly<Record<string, unknown>>;

export interface ProtobufReaders {
  /** Of one message type, by its full name. */
  named(schema: Pick<RegisteredSchema, "text" | "references">, message: string): ProtobufRead;
  /** Of messages that begin with their place in the schema, as a registry's do. */
  indexed(schema: Pick<RegisteredSchema, "text" | "references">): ProtobufRead;
}

/** @throws `PACKAGE_MISSING` */
export async function protobufReaders(): Promise<ProtobufReaders> {
  const protobuf = await importProtobuf();

  return {
    named(schema, message) {
      const read = reading(protobuf, protobufSchema(protobuf, schema).named(message));
      return (bytes, start) => read(bytes.subarray(start));
    },
    indexed(schema) {
      const parsed = protobufSchema(protobuf, schema);
      const reads = new Map<string, (bytes: Uint8Array) => Readonly<Record<string, unknown>>>();
      return (bytes, start) => {
        const place = readMessageIndexes(bytes, start);
        if (place === null) throw new RangeError("its message indexes are cut off");
        const id = place.indexes.join(".");
        let read = reads.get(id);
        if (read === undefined) {
          read = reading(protobuf, parsed.at(place.indexes));
          reads.set(id, read);
        }
        return read(bytes.subarray(place.start));
      };
    },
  };
}

/** Decodes to plain fields: 64-bit integers as bigints, enums by name, timestamps as Dates, wrappers as their values. */
function reading(protobuf: Protobuf, type: Type): (bytes: Uint8Array) => Readonly<Record<string, unknown>> {
  const simplify = simplifier(protobuf, type, new Map());
  return (bytes) => {
    const message = type.decode(bytes);
    const plain = type.toObject(message, { longs: String, enums: String, bytes: Uint8Array as never, defaults: true });
    return simplify(plain) as Readonly<Record<string, unknown>>;
  };
}

type Simplify = (value: unknown) => unknown;

function simplifier(protobuf: Protobuf, type: Type, known: Map<Type, { run: Simplify }>): Simplify {
  const before = known.get(type);
  if (before !== undefined) return (value) => before.run(value);
  const made = { run: (value: unknown): unknown => value };
  known.set(type, made);
  if (type.fullName === PROTOBUF_TIMESTAMP) {
    made.run = (value) => {
      const { seconds, nanos } = value as { seconds: string; nanos: number };
      return new Date(Number(seconds) * 1_000 + Math.floor(nanos / 1_000_000));
    };
  } else if (PROTOBUF_WRAPPER.test(type.fullName)) {
    const only = fieldSimplifier(protobuf, type.fieldsArray[0]!, known) ?? ((value: unknown) => value);
    made.run = (value) => only((value as { value: unknown }).value);
  } else {
    const changing = type.fieldsArray
      .map((field) => ({ name: field.name, field, simplify: fieldSimplifier(protobuf, field.resolve(), known) }))
      .filter((entry) => entry.simplify !== null);
    made.run = (value) => {
      const record = value as Record<string, unknown>;
      for (const { name, field, simplify } of changing) {
        const found = record[name];
        if (found === null || found === undefined) continue;
        if (field.map) {
          const map = found as Record<string, unknown>;
          for (const key of Object.keys(map)) map[key] = simplify!(map[key]);
        } else {
          record[name] = field.repeated ? (found as unknown[]).map(simplify!) : simplify!(found);
        }
      }
      return record;
    };
  }
  return made.run;
}

const LONGS: readonly string[] = ["int64", "uint64", "sint64", "fixed64", "sfixed64"];

function fieldSimplifier(protobuf: Protobuf, field: Field, known: Map<Type, { run: Simplify }>): Simplify | null {
  if (LONGS.includes(field.type)) return (value) => BigInt(value as string);
  const { resolvedType } = field;
  return resolvedType instanceof protobuf.Type ? simplifier(protobuf, resolvedType, known) : null;
}

async function importProtobuf(): Promise<Protobuf> {
  try {
    // The package is CommonJS: its exports are the default.
    const module = (await import("protobufjs")) as Protobuf & { readonly default?: Protobuf };
    return module.default ?? module;
  } catch (cause) {
    throw ingestionError(
      "PACKAGE_MISSING",
      "Protobuf needs the package protobufjs, which is not installed: npm install protobufjs",
      { cause },
    );
  }
}
