import { millraceError } from "./errors.ts";

/** What the numbers in a timestamp column count since the epoch. */
export type EpochUnit = "s" | "ms" | "us" | "ns";

/** How the messages of a source are encoded, as data; the ingestion layer turns it into a decoder. */
export type EventFormat = JsonFormat | AvroFormat | ProtobufFormat | CustomFormat;

interface FormatFacts {
  /** By column: where its value is in the message, `a.b.c`. */
  readonly paths: Readonly<Record<string, string>>;
  /** By timestamp column: what its numbers count. */
  readonly units: Readonly<Record<string, EpochUnit>>;
  /** True if messages are CloudEvents, structured or binary: columns are then of their data. */
  readonly cloudEvents: boolean;
}
export interface JsonFormat extends FormatFacts {
  readonly format: "json";
}
export interface AvroFormat extends FormatFacts {
  readonly format: "avro";
  /** The reader's schema as JSON; null: as each message was written. */
  readonly schema: string | null;
  /** Messages name their writer's schema by an id of the schema registry. */
  readonly registry: boolean;
}
export interface ProtobufFormat extends FormatFacts {
  readonly format: "protobuf";
  /** The text of a `.proto` file; null: from the registry. */
  readonly schema: string | null;
  /** The full name of the message type; null: as each message says. */
  readonly message: string | null;
  readonly registry: boolean;
}
export interface CustomFormat extends FormatFacts {
  readonly format: "custom";
  readonly decode: CustomDecode;
}

/** A message as a user's own decoder gets it. */
export interface EncodedMessage {
  readonly value: Uint8Array;
  readonly key: Uint8Array | null;
  readonly headers: Readonly<Record<string, string>>;
}
/** Gives the fields by name. A throw makes the message a dead letter with the error's text as its reason. */
export type CustomDecode = (message: EncodedMessage) => Readonly<Record<string, unknown>>;

export interface FormatOptions {
  /**
   * By column: where its value is in the message, as `payload.amount`. Default: the field of the column's name. Of
   * CloudEvents, `cloudevents.id`, `cloudevents.time` and so on are the event's own attributes.
   */
  readonly paths?: Readonly<Record<string, string>>;
  /** By timestamp column: what its numbers count since the epoch. Default `ms`; ISO 8601 texts need none. */
  readonly units?: Readonly<Record<string, EpochUnit>>;
  /** Messages are CloudEvents. Default false. */
  readonly cloudEvents?: boolean;
}

/** JSON objects: the default. A message that names a registry's schema (JSON Schema) is read without looking it up. */
export function json(options: FormatOptions = {}): JsonFormat {
  return Object.freeze({ format: "json", ...facts(options) });
}

/**
 * Avro records. With `registry: true` each message begins with the id of its writer's schema (Confluent's wire format);
 * else all are written with `schema`. With both, `schema` is what they are read as: Avro's rules of schema resolution.
 */
export function avro(
  options: FormatOptions & { readonly schema?: string | object; readonly registry?: boolean },
): AvroFormat {
  const { schema, registry = false } = options;
  if (schema === undefined && !registry) {
    throw millraceError("DEFINITION_INVALID", "avro() needs a schema, or registry: true.");
  }
  const text = schema === undefined ? null : typeof schema === "string" ? schema : JSON.stringify(schema);
  return Object.freeze({ format: "avro", schema: text, registry, ...facts(options) });
}

/**
 * Protobuf messages. With `registry: true` each begins with the id of its schema and which message type of it it is
 * (Confluent's wire format); else `schema` (the text of a .proto file) and `message` (its full name) say so.
 */
export function protobuf(
  options: FormatOptions & { readonly schema?: string; readonly message?: string; readonly registry?: boolean },
): ProtobufFormat {
  const { schema = null, message = null, registry = false } = options;
  if (!registry && (schema === null || message === null)) {
    throw millraceError("DEFINITION_INVALID", "protobuf() needs a schema and a message, or registry: true.");
  }
  return Object.freeze({ format: "protobuf", schema, message, registry, ...facts(options) });
}

/** A decoder of your own: takes a message's bytes, key and headers, gives its fields by name. */
export function decodeWith(decode: CustomDecode, options: FormatOptions = {}): CustomFormat {
  return Object.freeze({ format: "custom", decode, ...facts(options) });
}

function facts(options: FormatOptions): FormatFacts {
  return {
    paths: options.paths ?? {},
    units: options.units ?? {},
    cloudEvents: options.cloudEvents ?? false,
  };
}
