/** How a message of a schema registry begins: a zero byte, then the schema's id. Source: Confluent's wire format. */
export interface WireFormat {
  readonly schemaId: number;
  /** Where the encoded message begins, after the id; of Protobuf the message's indexes come first. */
  readonly start: number;
}

const MAGIC = 0;
const HEADER_BYTES = 5;

/** Null if the bytes do not begin as a registry's messages do. */
export function readWireFormat(bytes: Uint8Array): WireFormat | null {
  if (bytes.length < HEADER_BYTES || bytes[0] !== MAGIC) return null;
  const schemaId = ((bytes[1]! << 24) | (bytes[2]! << 16) | (bytes[3]! << 8) | bytes[4]!) >>> 0;
  return { schemaId, start: HEADER_BYTES };
}

/** The message's place in its schema: at each depth which message; and where the message itself begins. */
export interface MessageIndexes {
  readonly indexes: readonly number[];
  readonly start: number;
}

/** Most messages of one schema that a place may be deep. */
const DEEPEST = 100;

/** Null if the bytes end too early. */
export function readMessageIndexes(bytes: Uint8Array, start: number): MessageIndexes | null {
  let at = start;
  /** A zigzag varint. */
  const next = (): number | null => {
    let value = 0;
    for (let scale = 1; at < bytes.length && scale <= 2 ** 28; scale *= 128) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
    }
    return null;
  };
  const count = next();
  if (count === null || count < 0 || count > DEEPEST) return null;
  // The first message of all is written as a lone zero.
  if (count === 0) return { indexes: [0], start: at };
  const indexes: number[] = [];
  for (let i = 0; i < count; i++) {
    const index = next();
    if (index === null || index < 0) return null;
    indexes.push(index);
  }
  return { indexes, start: at };
}
