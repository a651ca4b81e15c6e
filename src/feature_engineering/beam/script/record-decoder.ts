import { isMillraceError, millraceError } from "../../../definitions/errors.ts";
import type { EventFormat } from "../../../definitions/format.ts";
import { avroRecord } from "../../../ingestion/decoders/avro-record.ts";
import { cloudEventOf } from "../../../ingestion/decoders/cloud-event.ts";
import { jsonFailure, needsExactIntegers, parseJson } from "../../../ingestion/decoders/json-decoder.ts";
import { compileRowDecoder, type SourceColumn } from "../../../ingestion/decoders/row-decoder.ts";
import { readWireFormat } from "../../../ingestion/decoders/wire-format.ts";
import type { DecodedPayload, DecodeFailure } from "../../../ingestion/stream-message.ts";
import type { BinaryMessage } from "./message-frame.ts";
import { indexedProtobuf, type Protobuf, protobufMessage } from "./protobuf-message.ts";
import { base64Bytes, utf8Text } from "./utf8-text.ts";

/** Decodes what is not plain text, as ingestion's own decoder does. */
export interface RecordDecoder {
  readonly decode: (message: BinaryMessage) => DecodedPayload;
  /** Takes a schema of the registry, as its JSON (`type`, `text`, `references`); empty: the registry has none of this id. */
  readonly learn: (id: number, schema: string) => void;
}

interface LearnedSchema {
  readonly type: string;
  readonly text: string;
  readonly references: readonly { readonly name: string; readonly text: string }[];
}

type Read = (bytes: Uint8Array, start: number) => Readonly<Record<string, unknown>>;

/** `protobuf` reads Protobuf; null where nothing is decoded. @throws `SCHEMA_INVALID` */
export function createRecordDecoder(
  columns: readonly SourceColumn[],
  eventTime: string,
  format: EventFormat,
  protobuf: Protobuf | null,
): RecordDecoder {
  const rows = compileRowDecoder(columns, { eventTime });
  const exact = needsExactIntegers(columns);
  const read = readerOf(format, exact, protobuf);
  const base64 = base64Bytes;

  function recordOf({ bytes, headers, failure }: BinaryMessage): unknown {
    if (failure !== null) throw new TypeError(failure);
    if (!format.cloudEvents) return read.data(bytes);
    return cloudEventOf(bytes, headers, { text: textOf, base64, data: read.data, exactIntegers: exact });
  }

  return {
    learn: read.learn,
    decode(message) {
      let record: unknown;
      try {
        record = recordOf(message);
      } catch (error) {
        if (isMillraceError(error)) return { code: error.code, reason: error.message };
        const said = error instanceof Error ? error.message : String(error);
        return { code: "DECODE_FAILED", reason: `The message cannot be read as ${format.format}: ${said}` };
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
  };
}

interface DataReader {
  readonly data: (bytes: Uint8Array) => unknown;
  readonly learn: RecordDecoder["learn"];
}

function readerOf(format: EventFormat, exact: boolean, protobuf: Protobuf | null): DataReader {
  const none = (): void => {};
  if (format.format === "avro" && !format.registry) {
    const read = avroRecord(format.schema!, { readerSchema: format.schema, exactLongs: exact, utf8Text });
    return { data: (bytes) => read(bytes, 0), learn: none };
  }
  if (format.format === "protobuf" && !format.registry) {
    if (protobuf === null) return { data: none, learn: none };
    const read = protobufMessage(protobuf, { text: format.schema!, references: [] }, format.message!);
    return { data: (bytes) => read(bytes, 0), learn: none };
  }
  if (format.format === "avro" || format.format === "protobuf") return registryReader(format, exact, protobuf);
  return {
    data(bytes) {
      const text = textOf(bytes.subarray(readWireFormat(bytes)?.start ?? 0));
      try {
        return parseJson(text, exact);
      } catch (error) {
        throw refusal(jsonFailure(text, error));
      }
    },
    learn: none,
  };
}

function registryReader(
  format: Extract<EventFormat, { readonly format: "avro" | "protobuf" }>,
  exact: boolean,
  protobuf: Protobuf | null,
): DataReader {
  const reads = new Map<number, Read | DecodeFailure>();
  const wanted = format.format === "avro" ? "AVRO" : "PROTOBUF";

  function compile(id: number, { type, text, references }: LearnedSchema): Read | DecodeFailure {
    if (type !== wanted) {
      return { code: "DECODE_FAILED", reason: `Schema ${id} of the registry is of type ${type}, not ${wanted}.` };
    }
    try {
      if (format.format === "protobuf") return indexedProtobuf(protobuf!, { text, references });
      return avroRecord(text, {
        utf8Text,
        references: references.map((one) => one.text),
        readerSchema: format.schema,
        exactLongs: exact,
      });
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      return { code: "SCHEMA_INVALID", reason: `Schema ${id} of the registry: ${said}` };
    }
  }

  return {
    learn(id, schema) {
      // An id never changes its meaning, but one that was unknown may be known later.
      if (schema !== "" && !reads.has(id)) reads.set(id, compile(id, JSON.parse(schema) as LearnedSchema));
    },
    data(bytes) {
      const wire = readWireFormat(bytes);
      if (wire === null) {
        throw refusal({
          code: "DECODE_FAILED",
          reason: "The message does not begin with a schema's id, as those of a registry do.",
        });
      }
      const read = reads.get(wire.schemaId);
      if (read === undefined) {
        throw refusal({ code: "SCHEMA_UNKNOWN", reason: `The registry has no schema with the id ${wire.schemaId}.` });
      }
      if (typeof read !== "function") throw refusal(read);
      return read(bytes, wire.start);
    },
  };
}

function textOf(bytes: Uint8Array): string {
  const text = utf8Text(bytes);
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** Ends the reading of one message. */
function refusal({ code, reason }: DecodeFailure): Error {
  return millraceError(code, reason);
}
