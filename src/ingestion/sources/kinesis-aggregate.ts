import { createHash } from "node:crypto";

/** One record as a producer made it. */
export interface UserRecord {
  readonly partitionKey: string;
  readonly data: Uint8Array;
}

/** How aggregated records begin. Source: the Kinesis Producer Library's aggregation format. */
const MAGIC = Buffer.from([0xf3, 0x89, 0x9a, 0xc2]);
const DIGEST_BYTES = 16;

/**
 * The records within a record of the Kinesis Producer Library (protobuf `AggregatedRecord`, then an MD5 digest); the
 * record itself if it is none, as its library does too if the digest does not fit.
 */
export function deaggregate(data: Uint8Array, partitionKey: string): readonly UserRecord[] {
  const plain = [{ partitionKey, data }];
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  if (bytes.length <= MAGIC.length + DIGEST_BYTES || !bytes.subarray(0, MAGIC.length).equals(MAGIC)) return plain;
  const body = bytes.subarray(MAGIC.length, -DIGEST_BYTES);
  if (!createHash("md5").update(body).digest().equals(bytes.subarray(-DIGEST_BYTES))) return plain;
  const keys: string[] = [];
  const records: UserRecord[] = [];
  try {
    for (const { number, bytes: field } of fields(body)) {
      if (number === 1) keys.push(field.toString("utf8"));
      else if (number === 3) {
        let key = 0;
        let value: Uint8Array = new Uint8Array(0);
        for (const inner of fields(field)) {
          if (inner.number === 1) key = inner.value;
          else if (inner.number === 3) value = inner.bytes;
        }
        records.push({ partitionKey: keys[key] ?? partitionKey, data: value });
      }
    }
  } catch (error) {
    if (error instanceof RangeError) return plain;
    throw error;
  }
  return records;
}

interface Field {
  readonly number: number;
  /** Of a varint. */
  readonly value: number;
  /** Of a length-delimited field. */
  readonly bytes: Buffer;
}

const EMPTY = Buffer.alloc(0);

/** The fields of a protobuf message. @throws RangeError if it is none. */
function* fields(message: Buffer): Generator<Field> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      if (at >= message.length || scale > 2 ** 56) throw new RangeError("a varint does not end");
      const byte = message[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < message.length) {
    const tag = varint();
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    if (wire === 0) yield { number, value: varint(), bytes: EMPTY };
    else if (wire === 2) {
      const length = varint();
      if (at + length > message.length) throw new RangeError("a field is cut off");
      yield { number, value: 0, bytes: message.subarray(at, at + length) };
      at += length;
    } else throw new RangeError(`wire type ${wire} has no place here`);
  }
}
