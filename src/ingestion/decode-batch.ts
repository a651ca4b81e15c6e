import { setImmediate as nextTurn } from "node:timers/promises";
import type { MessageDecoder } from "./decoders/message-decoder.ts";
import { isDecodeFailure } from "./decoders/row-decoder.ts";
import { futureFailure } from "./future-failure.ts";
import type { RawBatch } from "./message-source.ts";
import type {
  DeadLetter,
  DecodedPayload,
  DecodeFailure,
  MessageBatch,
  RawMessage,
  StreamMessage,
} from "./stream-message.ts";

/** What decoding one source's messages takes. */
export interface BatchDecoding {
  readonly source: string;
  readonly decode: MessageDecoder;
  /** The place of the event time in a row. */
  readonly eventTimeIndex: number;
  /** Events more than this (ms) ahead of their arrival are dead letters; null: not checked. */
  readonly futureBoundMs: number | null;
  /** Wall clock, epoch ms. */
  readonly now: () => number;
}

/** Messages after which sockets get a turn: the commit of the batch before sends its rows from the same thread. */
const TURN = 2_000;

function receivedBytes(value: RawMessage["value"]): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return Buffer.from(value, "utf8");
  if (value === null) return new Uint8Array(0);
  try {
    const text = JSON.stringify(value, (_key, field: unknown) => (typeof field === "bigint" ? String(field) : field));
    return Buffer.from(text, "utf8");
  } catch {
    // A cyclic object of the process: there are no bytes.
    return Buffer.from(String(value), "utf8");
  }
}

function decodeGuarded(decode: MessageDecoder, raw: RawMessage): DecodedPayload {
  try {
    return decode(raw);
  } catch (error) {
    // A decoder of the user's own: one message must not stop the stream.
    const why = error instanceof Error ? error.message : String(error);
    return { code: "DECODE_FAILED", reason: `The decoder failed: ${why}` };
  }
}

/** Decodes and validates a batch (with a message or a last offset); `note` is told of each message whether it is bad. */
export async function decodeBatch(
  raw: RawBatch,
  decoding: BatchDecoding,
  note: (bad: boolean) => void,
): Promise<MessageBatch> {
  const { source, decode, eventTimeIndex, futureBoundMs, now } = decoding;
  const messages: StreamMessage[] = [];
  const deadLetters: DeadLetter[] = [];
  for (let index = 0; index < raw.messages.length; index++) {
    if (index > 0 && index % TURN === 0) await nextTurn();
    const message = raw.messages[index]!;
    const { partition, offset } = message;
    if (message.value === null && message.decoded === undefined) continue;
    const decoded = message.decoded ?? decodeGuarded(decode, message);
    let failure: DecodeFailure | null;
    if (isDecodeFailure(decoded)) failure = decoded;
    else {
      const eventTime = decoded[eventTimeIndex] as number;
      const ingestedAt = message.ingestedAt ?? eventTime;
      failure = futureFailure(eventTime, ingestedAt, futureBoundMs);
      if (failure === null) {
        const { key, headers } = message;
        messages.push({ source, partition, offset, key, payload: decoded, eventTime, ingestedAt, headers });
        note(false);
        continue;
      }
    }
    const { code, reason } = failure;
    deadLetters.push({ source, partition, offset, code, reason, bytes: receivedBytes(message.value), at: now() });
    note(true);
  }
  const lastOffset = raw.lastOffset ?? raw.messages[raw.messages.length - 1]!.offset;
  const batch = { source, partition: raw.partition, messages, deadLetters, lastOffset };
  if (raw.pushes === undefined && raw.cursor === undefined && raw.behind === undefined) return batch;
  return {
    ...batch,
    ...(raw.pushes === undefined ? {} : { pushes: raw.pushes }),
    ...(raw.cursor === undefined ? {} : { cursor: raw.cursor }),
    ...(raw.behind === undefined ? {} : { behind: raw.behind }),
  };
}
