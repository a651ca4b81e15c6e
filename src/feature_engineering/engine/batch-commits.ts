import type { SourceMeta } from "../../definitions/source.ts";
import type { MessageBatch } from "../../ingestion/stream-message.ts";
import type { EventLog, LogCommitResult, LoggedEvent, OwnedPartition } from "./event-log.ts";
import { createMessageLogger } from "./message-logger.ts";

export interface BatchCommitsOptions {
  readonly source: SourceMeta;
  readonly log: EventLog;
  /** Told of a partition that was taken over. */
  readonly onTakenOver: (partition: OwnedPartition) => void;
}

/** The engine's way into the log: the partitions that it owns there, and batches committed under that ownership. */
export interface BatchCommits {
  /** Takes a partition over, also if it was this process's before. */
  takeOver(partition: string): Promise<OwnedPartition>;
  /** The id of a partition that a batch was committed of. */
  partitionIdOf(partition: string): number;
  /** The last offset of a partition that was committed here, or was when it was taken over; −1 if none was. */
  committed(partitionId: number): number;
  /** Makes a batch's log entries ahead. */
  prepare(batch: MessageBatch): void;
  /** @throws `PARTITION_FENCED` if another process has taken the partition over */
  commit(batch: MessageBatch): Promise<LogCommitResult>;
}

export function createBatchCommits({ source, log, onTakenOver }: BatchCommitsOptions): BatchCommits {
  const toLogged = createMessageLogger(source);
  /** Log entries that were made ahead, for the partition's id of then. */
  const prepared = new WeakMap<MessageBatch, { readonly partitionId: number; readonly events: LoggedEvent[] }>();
  const owned = new Map<string, OwnedPartition>();
  const reached = new Map<number, number>();

  function noteReached(partitionId: number, offset: number): void {
    if (offset > (reached.get(partitionId) ?? -1)) reached.set(partitionId, offset);
  }

  async function own(partition: string): Promise<OwnedPartition> {
    let found = owned.get(partition);
    if (found === undefined) {
      found = await log.own(source.name, partition);
      owned.set(partition, found);
      onTakenOver(found);
      noteReached(found.partitionId, found.committed);
    }
    return found;
  }

  function entriesOf(batch: MessageBatch, partitionId: number): LoggedEvent[] {
    const ahead = prepared.get(batch);
    prepared.delete(batch);
    if (ahead?.partitionId === partitionId) return ahead.events;
    return batch.messages.map((message) => toLogged(message, partitionId));
  }

  return {
    takeOver(partition) {
      owned.delete(partition);
      return own(partition);
    },
    partitionIdOf: (partition) => owned.get(partition)!.partitionId,
    committed: (partitionId) => reached.get(partitionId) ?? -1,
    prepare(batch) {
      const partition = owned.get(batch.partition);
      if (partition === undefined) return;
      const { partitionId } = partition;
      prepared.set(batch, { partitionId, events: batch.messages.map((message) => toLogged(message, partitionId)) });
    },
    async commit(batch) {
      const partition = await own(batch.partition);
      // Under a later ownership, what was fetched before it may leave a gap.
      const fenced = batch.epoch !== undefined && batch.epoch !== partition.ownerEpoch;
      try {
        const result = await log.commit({
          partition: fenced ? { ...partition, ownerEpoch: batch.epoch! } : partition,
          events: entriesOf(batch, partition.partitionId),
          deadLetters: batch.deadLetters,
          lastOffset: batch.lastOffset,
          ...(batch.pushes === undefined ? {} : { pushes: batch.pushes }),
          ...(batch.cursor === undefined ? {} : { cursor: batch.cursor }),
        });
        noteReached(partition.partitionId, batch.lastOffset);
        return result;
      } catch (error) {
        // Should it come back to this process, it is taken over again.
        if (error instanceof Error && "code" in error && error.code === "PARTITION_FENCED") {
          owned.delete(batch.partition);
        }
        throw error;
      }
    },
  };
}
