import { parseJson } from "./json-decoder.ts";

/** How bytes are read where the decoder runs. */
export interface CloudEventReading<Bytes extends Uint8Array> {
  /** The text of UTF-8 bytes without a byte order mark. */
  readonly text: (bytes: Bytes) => string;
  readonly base64: (text: string) => Bytes;
  /** Reads encoded data. */
  readonly data: (bytes: Bytes) => unknown;
  readonly exactIntegers: boolean;
}

/** How transports prefix the attributes of binary events. Source: CloudEvents 1.0, bindings for Kafka and HTTP. */
const PREFIX = /^ce[_-]/i;

/**
 * The data of a CloudEvent with its attributes under `cloudevents`: of a binary event (attributes in headers, the value
 * is the data) or of a structured one (JSON with `data`, or `data_base64`).
 */
export function cloudEventOf<Bytes extends Uint8Array>(
  bytes: Bytes,
  headers: Readonly<Record<string, string>>,
  read: CloudEventReading<Bytes>,
): unknown {
  const attributes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (PREFIX.test(name)) attributes[name.slice(3).toLowerCase()] = value;
  }
  if (attributes.specversion !== undefined) return joined(read.data(bytes), attributes);
  const event = parseJson(read.text(bytes), read.exactIntegers);
  if (typeof event !== "object" || event === null || !Object.hasOwn(event, "specversion")) {
    throw new TypeError("it is no CloudEvent: it has no specversion");
  }
  const { data, data_base64: encoded, ...rest } = event as Record<string, unknown>;
  return joined(typeof encoded === "string" ? read.data(read.base64(encoded)) : data, rest);
}

function joined(data: unknown, attributes: Readonly<Record<string, unknown>>): unknown {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return data;
  return { ...data, cloudevents: attributes };
}
