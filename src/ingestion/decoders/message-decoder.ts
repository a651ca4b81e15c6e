import type { DecodedPayload, DecodeFailure, RawMessage } from "../stream-message.ts";
import { jsonFailure, needsExactIntegers, parseJson, utf8Text } from "./json-decoder.ts";
import { compileRowDecoder, type RowDecoder, type SourceColumn } from "./row-decoder.ts";

/** Decodes and validates one message. Never throws. */
export type MessageDecoder = (message: RawMessage) => DecodedPayload;

export interface JsonMessageDecoder {
  readonly decode: MessageDecoder;
  /** The same for a value alone: JSON as text or bytes, or an object. */
  readonly decodeValue: (value: unknown) => DecodedPayload;
  readonly rows: RowDecoder;
}

function notAnObject(found: unknown): DecodeFailure {
  const what = Array.isArray(found) ? "a list" : found === null ? "null" : `a ${typeof found}`;
  return { code: "DECODE_FAILED", reason: `The message is ${what}; expected an object with the columns as fields.` };
}

/** Compiles the decoder of messages whose values are JSON objects: bytes, text or objects of the process. */
export function compileMessageDecoder(
  columns: readonly SourceColumn[],
  options: { readonly eventTime: string },
): JsonMessageDecoder {
  const rows = compileRowDecoder(columns, options);
  const exactIntegers = needsExactIntegers(columns);
  const decodeValue = (value: unknown): DecodedPayload => {
    let record = value;
    if (typeof value === "string" || value instanceof Uint8Array) {
      const text = typeof value === "string" ? value : utf8Text(value);
      try {
        record = parseJson(text, exactIntegers);
      } catch (error) {
        return jsonFailure(text, error);
      }
    }
    if (typeof record !== "object" || record === null || Array.isArray(record)) return notAnObject(record);
    return rows.decode(record as Readonly<Record<string, unknown>>);
  };
  return { decode: (message) => decodeValue(message.value), decodeValue, rows };
}
