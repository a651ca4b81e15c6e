import type { PartitionLag } from "../message-source.ts";
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
  /** Whether the last fetch of it was answered: what came since is else not known. */
  answered: boolean;
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
    answered: false,
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

/**
 * Notes an answer of the leader, and where the log ends as far as that knows: one that has just begun to lead may know of
 * less than the one before did, which was true all the same.
 */
export function noteAnswered(partition: KafkaPartition, end: number): void {
  partition.refused = 0;
  partition.answered = true;
  partition.end = Math.max(end, partition.end ?? end);
}

/** Notes that a fetch brought nothing but an error: the leader moved, or its broker is gone. */
export function noteUnanswered(partition: KafkaPartition): void {
  partition.answered = false;
}

/** How far it is behind, at least: while nobody answers for it, it is never said to have caught up. `now` is epoch ms. */
export function lagOf({ name, handled, end, answered, lastTaken }: KafkaPartition, now: number): PartitionLag {
  const known = end === null ? null : Math.max(0, end - handled);
  const messages = known === 0 && !answered ? null : known;
  const seconds = messages === 0 ? 0 : lastTaken === null ? null : Math.max(0, (now - lastTaken) / 1_000);
  return { partition: name, messages, seconds };
}

/** Notes that everything up to `offset` is handled: with nothing on the way, also what holds no message. */
export function noteHandled(partition: KafkaPartition, offset: number): void {
  const all = partition.bufferedCount === 0 && offset >= partition.handedOut;
  partition.handled = Math.max(partition.handled, all ? partition.next : offset + 1);
}
