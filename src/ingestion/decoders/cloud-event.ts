import { parseJson, utf8Text } from "./json-decoder.ts";

/** How transports prefix the attributes of binary events. Source: CloudEvents 1.0, bindings for Kafka and HTTP. */
const PREFIX = /^ce[_-]/i;

/**
 * The data of a CloudEvent with its attributes under `cloudevents`: of a binary event (attributes in headers, the value
 * is the data) or of a structured one (JSON with `data`, or `data_base64`). `read` reads encoded data.
 */
export function cloudEventOf(
  bytes: Buffer,
  headers: Readonly<Record<string, string>>,
  read: (data: Buffer) => unknown,
  exactIntegers: boolean,
): unknown {
  const attributes: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (PREFIX.test(name)) attributes[name.slice(3).toLowerCase()] = value;
  }
  if (attributes.specversion !== undefined) return joined(read(bytes), attributes);
  const event = parseJson(utf8Text(bytes), exactIntegers);
  if (typeof event !== "object" || event === null || !Object.hasOwn(event, "specversion")) {
    throw new TypeError("it is no CloudEvent: it has no specversion");
  }
  const { data, data_base64: encoded, ...rest } = event as Record<string, unknown>;
  return joined(typeof encoded === "string" ? read(Buffer.from(encoded, "base64")) : data, rest);
}

function joined(data: unknown, attributes: Readonly<Record<string, unknown>>): unknown {
  if (typeof data !== "object" || data === null || Array.isArray(data)) return data;
  return { ...data, cloudevents: attributes };
}
