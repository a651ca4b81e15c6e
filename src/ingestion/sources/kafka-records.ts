import type { RawMessage } from "../stream-message.ts";

/** One batch of records as Kafka's log has it, format 2. */
export interface KafkaRecordsBatch {
  readonly firstOffset: bigint;
  readonly attributes: number;
  readonly lastOffsetDelta: number;
  readonly firstTimestamp: bigint;
  readonly maxTimestamp: bigint;
  readonly producerId: bigint;
  readonly records: readonly {
    readonly timestampDelta: bigint;
    readonly offsetDelta: number;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headers: readonly (readonly [Buffer | null, Buffer | null])[];
  }[];
}

export interface AbortedTransaction {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
}

/** What a fetch of one partition brought. */
export interface KafkaRead {
  readonly messages: RawMessage[];
  /** The offset after everything that the fetch covered: messages, control records and aborted ones. */
  readonly next: number;
}

/** Bits of a batch's attributes. Source: Kafka's message format, version 2. */
const LOG_APPEND_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
/** The type of a control record that ends a transaction without committing it. */
const ABORT = 0;

/**
 * The messages of a fetched partition from offset `from` on, without control records and, given the aborted
 * transactions of the fetch (read committed), without those that a producer took back. Source: KIP-98.
 */
export function readKafkaRecords(
  partition: string,
  batches: readonly KafkaRecordsBatch[],
  aborted: readonly AbortedTransaction[],
  from: number,
): KafkaRead {
  const messages: RawMessage[] = [];
  const pending = [...aborted].sort((a, b) => (a.firstOffset < b.firstOffset ? -1 : 1));
  const open = new Set<bigint>();
  let next = from;
  for (const batch of batches) {
    const first = Number(batch.firstOffset);
    const last = first + batch.lastOffsetDelta;
    while (pending[0] !== undefined && pending[0].firstOffset <= BigInt(last)) open.add(pending.shift()!.producerId);
    next = Math.max(next, last + 1);
    if ((batch.attributes & CONTROL) !== 0) {
      // The key of a control record: version, then type, 16 bits each.
      const key = batch.records[0]?.key;
      if (key !== null && key !== undefined && key.length >= 4 && key.readInt16BE(2) === ABORT) {
        open.delete(batch.producerId);
      }
      continue;
    }
    if ((batch.attributes & TRANSACTIONAL) !== 0 && open.has(batch.producerId)) continue;
    const start = Number(batch.firstTimestamp);
    const appended = (batch.attributes & LOG_APPEND_TIME) !== 0 ? Number(batch.maxTimestamp) : null;
    for (const record of batch.records) {
      const offset = first + record.offsetDelta;
      // A fetch begins with the whole batch that holds its offset.
      if (offset < from) continue;
      messages.push({
        partition,
        offset,
        key: record.key,
        value: record.value,
        ingestedAt: appended ?? start + Number(record.timestampDelta),
        headers: record.headers.length === 0 ? NONE : headersOf(record.headers),
      });
    }
  }
  return { messages, next };
}

const NONE: Readonly<Record<string, string>> = Object.freeze({});

/** Headers as text; of several with one name the last one counts, as the order of headers says. */
function headersOf(headers: KafkaRecordsBatch["records"][number]["headers"]): Readonly<Record<string, string>> {
  const texts: Record<string, string> = {};
  for (const [name, value] of headers) if (name !== null) texts[name.toString("utf8")] = value?.toString("utf8") ?? "";
  return texts;
}
