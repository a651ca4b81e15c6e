import type { RawMessage } from "../stream-message.ts";

/** What a member knows of a partition that it owns. */
export interface KafkaPartition {
  /** `topic:index`, as the cold store names it. */
  readonly name: string;
  readonly topic: string;
  readonly index: number;
  /** The next offset to fetch. */
  next: number;
  /** Fetched and not handed out, in offset order; `taken` of the first list are gone. */
  readonly buffered: RawMessage[][];
  taken: number;
  bufferedCount: number;
  /** Of their keys and values. */
  bufferedBytes: number;
  fetching: boolean;
  /** How often in a row the broker gave an error for it. */
  refused: number;
  /** The last offset handed out; −1 before the first. */
  handedOut: number;
  /** Everything below it is handled. */
  handled: number;
  /** What the group was told; −1 before the first time. */
  told: number;
  /** The offset that the next message will get, as far as committed transactions go; null before the first answer. */
  end: number | null;
  /** When the transport took the last message that was handed out; epoch milliseconds. */
  lastTaken: number | null;
}

export function kafkaPartition(topic: string, index: number, next: number): KafkaPartition {
  return {
    name: `${topic}:${index}`,
    topic,
    index,
    next,
    buffered: [],
    taken: 0,
    bufferedCount: 0,
    bufferedBytes: 0,
    fetching: false,
    refused: 0,
    handedOut: next - 1,
    handled: next,
    told: -1,
    end: null,
    lastTaken: null,
  };
}

/** Adds what a fetch brought. */
export function addBuffered(partition: KafkaPartition, messages: RawMessage[]): void {
  partition.buffered.push(messages);
  partition.bufferedCount += messages.length;
  partition.bufferedBytes += bytesOf(messages);
}

function bytesOf(messages: readonly RawMessage[]): number {
  let bytes = 0;
  for (const { key, value } of messages) bytes += (key?.length ?? 0) + ((value as Uint8Array | null)?.length ?? 0);
  return bytes;
}

/**
 * The next `most` messages of what is buffered, of several fetches if need be: whoever falls behind gets larger batches,
 * which cost less per message.
 */
export function takeBuffered(partition: KafkaPartition, most: number): readonly RawMessage[] {
  const { buffered } = partition;
  let messages: RawMessage[] = [];
  while (buffered.length > 0 && messages.length < most) {
    const first = buffered[0]!;
    const wanted = most - messages.length;
    const isWhole = partition.taken === 0 && first.length <= wanted;
    const part = isWhole ? first : first.slice(partition.taken, partition.taken + wanted);
    partition.taken += part.length;
    if (partition.taken >= first.length) {
      buffered.shift();
      partition.taken = 0;
    }
    if (messages.length === 0) messages = part;
    else for (const message of part) messages.push(message);
  }
  partition.bufferedCount -= messages.length;
  partition.bufferedBytes -= bytesOf(messages);
  const last = messages[messages.length - 1]!;
  partition.handedOut = last.offset;
  partition.lastTaken = last.ingestedAt;
  return messages;
}

/** Notes that everything up to `offset` is handled: with nothing on the way, also what holds no message. */
export function noteHandled(partition: KafkaPartition, offset: number): void {
  const all = partition.bufferedCount === 0 && offset >= partition.handedOut;
  partition.handled = Math.max(partition.handled, all ? partition.next : offset + 1);
}
