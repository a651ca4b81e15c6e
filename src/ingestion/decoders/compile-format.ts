import { isMillraceError } from "../../definitions/errors.ts";
import type { EventFormat } from "../../definitions/format.ts";
import { ingestionError } from "../ingestion-error.ts";
import type { DecodedPayload, DecodeFailure, RawMessage } from "../stream-message.ts";
import { type AvroReaders, avroReaders } from "./avro-reader.ts";
import { cloudEventOf } from "./cloud-event.ts";
import { gunzipped } from "./gunzip.ts";
import { jsonFailure, needsExactIntegers, parseJson, utf8Text } from "./json-decoder.ts";
import type { MessageDecoder } from "./message-decoder.ts";
import { type ProtobufRead, type ProtobufReaders, protobufReaders } from "./protobuf-reader.ts";
import { compileRowDecoder, type SourceColumn } from "./row-decoder.ts";
import type { SchemaRegistry } from "./schema-registry.ts";
import { readWireFormat } from "./wire-format.ts";

export interface CompileFormatOptions {
  readonly columns: readonly SourceColumn[];
  /** The name of the column that holds the event time. */
  readonly eventTime: string;
  readonly format: EventFormat;
  /** Null if none is configured. */
  readonly registry: SchemaRegistry | null;
  /** Monotone milliseconds. */
  readonly clock?: () => number;
}

/** The decoder of one source's messages. */
export interface FormatDecoder {
  /** Never throws: what cannot be read is a failure with a reason. */
  readonly decode: MessageDecoder;
  /**
   * Brings the schemas that the messages name and that are not known yet; to be called before `decode`. Rejects if the
   * registry cannot be asked (tried again, nothing is lost); a schema that it does not have makes dead letters.
   */
  prepare(messages: readonly RawMessage[]): Promise<void>;
}

type Read = (bytes: Buffer, start: number) => Readonly<Record<string, unknown>>;

/** A schema that the registry did not have may be there later: when it is asked for again, milliseconds. */
const ASK_AGAIN_MS = 10_000;

/** @throws `SCHEMA_REGISTRY_MISSING`, `SCHEMA_INVALID`, `PACKAGE_MISSING`, `COLUMN_UNKNOWN` */
export async function compileFormat(options: CompileFormatOptions): Promise<FormatDecoder> {
  const { format, registry } = options;
  const clock = options.clock ?? (() => performance.now());
  const columns = placed(options.columns, format);
  const rows = compileRowDecoder(columns, { eventTime: options.eventTime });
  const exact = needsExactIntegers(columns);
  const usesRegistry = (format.format === "avro" || format.format === "protobuf") && format.registry;
  if (usesRegistry && registry === null) {
    throw ingestionError(
      "SCHEMA_REGISTRY_MISSING",
      "A source's messages name schemas of a registry, and none is configured: set schemaRegistry.url in the configuration, or MILLRACE_SCHEMA_REGISTRY_URL.",
    );
  }
  const readers = await makeReaders(format, exact);
  const fixed = usesRegistry ? null : fixedRead(format, readers);
  const byId = new Map<number, Read | DecodeFailure>();
  const missing = new Map<number, number>();

  async function load(id: number): Promise<void> {
    const schema = await registry!.schema(id);
    if (schema === null) {
      missing.set(id, clock());
      return;
    }
    missing.delete(id);
    try {
      const wanted = format.format === "avro" ? "AVRO" : "PROTOBUF";
      if (schema.type !== wanted) {
        byId.set(id, {
          code: "DECODE_FAILED",
          reason: `Schema ${id} of the registry is of type ${schema.type}, not ${wanted}.`,
        });
      } else if (readers.avro !== null) {
        byId.set(id, readers.avro.reader(schema));
      } else {
        const read: ProtobufRead = readers.protobuf!.indexed(schema);
        byId.set(id, read);
      }
    } catch (error) {
      byId.set(id, { code: "SCHEMA_INVALID", reason: `Schema ${id} of the registry: ${said(error)}` });
    }
  }

  function encoded(bytes: Buffer): Readonly<Record<string, unknown>> {
    if (fixed !== null) return fixed(bytes, 0);
    const wire = readWireFormat(bytes);
    if (wire === null) {
      throw refused({
        code: "DECODE_FAILED",
        reason: "The message does not begin with a schema's id, as those of a registry do.",
      });
    }
    const read = byId.get(wire.schemaId);
    if (read === undefined) {
      throw refused({ code: "SCHEMA_UNKNOWN", reason: `The registry has no schema with the id ${wire.schemaId}.` });
    }
    if (typeof read !== "function") throw refused(read);
    return read(bytes, wire.start);
  }

  function fromJson(bytes: Buffer): unknown {
    const start = readWireFormat(bytes)?.start ?? 0;
    const text = utf8Text(start === 0 ? bytes : bytes.subarray(start));
    try {
      return parseJson(text, exact);
    } catch (error) {
      throw refused(jsonFailure(text, error));
    }
  }

  function recordOf(message: RawMessage): unknown {
    const { value, headers } = message;
    if (value !== null && typeof value === "object" && !(value instanceof Uint8Array)) return value;
    const bytes = gunzipped(bytesOf(value), headers, format.format === "json");
    const read = (data: Buffer): unknown => {
      if (format.format === "json") return fromJson(data);
      if (format.format === "custom") return format.decode({ value: data, key: message.key, headers });
      return encoded(data);
    };
    if (!format.cloudEvents) return read(bytes);
    const base64 = (text: string): Buffer => Buffer.from(text, "base64");
    return cloudEventOf(bytes, headers, { text: utf8Text, base64, data: read, exactIntegers: exact });
  }

  return {
    decode(message): DecodedPayload {
      let record: unknown;
      try {
        record = recordOf(message);
      } catch (error) {
        if (isMillraceError(error)) return { code: error.code, reason: error.message };
        return { code: "DECODE_FAILED", reason: `The message cannot be read as ${format.format}: ${said(error)}` };
      }
      if (typeof record !== "object" || record === null || Array.isArray(record)) {
        const what = Array.isArray(record) ? "a list" : record === null ? "null" : `a ${typeof record}`;
        return {
          code: "DECODE_FAILED",
          reason: `The message is ${what}; expected an object with the columns as fields.`,
        };
      }
      return rows.decode(record as Readonly<Record<string, unknown>>);
    },
    async prepare(messages) {
      if (!usesRegistry) return;
      const wanted = new Set<number>();
      for (const { value } of messages) {
        const wire = value instanceof Uint8Array ? readWireFormat(value) : null;
        if (wire === null || byId.has(wire.schemaId)) continue;
        const asked = missing.get(wire.schemaId);
        if (asked === undefined || clock() - asked >= ASK_AGAIN_MS) wanted.add(wire.schemaId);
      }
      for (const id of wanted) await load(id);
    },
  };
}

/** The columns with their places in the message. */
function placed(columns: readonly SourceColumn[], { paths, units }: EventFormat): SourceColumn[] {
  const names = new Set(columns.map((column) => column.name));
  for (const name of [...Object.keys(paths), ...Object.keys(units)]) {
    if (!names.has(name)) {
      throw ingestionError(
        "COLUMN_UNKNOWN",
        `The format names a column '${name}' that the schema does not have: its columns are ${[...names].join(", ")}.`,
      );
    }
  }
  return columns.map((column) => ({
    ...column,
    ...(paths[column.name] === undefined ? {} : { path: paths[column.name]! }),
    ...(units[column.name] === undefined ? {} : { unit: units[column.name]! }),
  }));
}

interface Readers {
  readonly avro: AvroReaders | null;
  readonly protobuf: ProtobufReaders | null;
}

async function makeReaders(format: EventFormat, exactLongs: boolean): Promise<Readers> {
  if (format.format === "avro") {
    return { avro: avroReaders({ readerSchema: format.schema, exactLongs }), protobuf: null };
  }
  return { avro: null, protobuf: format.format === "protobuf" ? await protobufReaders() : null };
}

/** How messages are read that all have one schema; null where the format has no schema. */
function fixedRead(format: EventFormat, { avro, protobuf }: Readers): Read | null {
  if (format.format === "avro") {
    return avro!.reader({ text: format.schema!, references: [] });
  }
  if (format.format === "protobuf") {
    return protobuf!.named({ text: format.schema!, references: [] }, format.message!);
  }
  return null;
}

function bytesOf(value: Uint8Array | string | null): Buffer {
  if (value === null) return Buffer.alloc(0);
  if (typeof value === "string") return Buffer.from(value, "utf8");
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

/** Ends the reading of one message; `decode` gives it as the message's failure. */
function refused({ code, reason }: DecodeFailure): Error {
  return ingestionError(code as "DECODE_FAILED", reason);
}

function said(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
