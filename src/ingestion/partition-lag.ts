import { channel } from "node:diagnostics_channel";
import { INGESTION_LAG_CHANNEL, type IngestionLagEvent, type PartitionStatus } from "./channels.ts";
import type { MessageSource } from "./message-source.ts";

/** How far a source's partitions were handled, and how far they are behind. */
export interface PartitionLag {
  /** A batch of the partition is handled; `newest` is its newest event time (epoch ms), null if it had no event. */
  note(partition: string, lastOffset: number, newest: number | null): void;
  /** Asks the source. */
  read(): Promise<readonly PartitionStatus[]>;
  /** Reads and publishes it, and that partitions of the sample before are gone, if anybody listens. */
  sample(): Promise<void>;
}

interface Progress {
  lastOffset: number;
  lastEventTime: number | null;
}

/** `now` is the wall clock, epoch ms. */
export function partitionLag(source: string, reader: Pick<MessageSource, "lag">, now: () => number): PartitionLag {
  const lagChannel = channel(INGESTION_LAG_CHANNEL);
  const progress = new Map<string, Progress>();
  /** The partitions of the last sample. */
  let sampled: ReadonlySet<string> = new Set();

  const statusOf = (partition: string): Pick<PartitionStatus, "partition" | "lastOffset" | "lastEventTime"> => {
    const done = progress.get(partition);
    return { partition, lastOffset: done?.lastOffset ?? null, lastEventTime: done?.lastEventTime ?? null };
  };

  const read = async (): Promise<readonly PartitionStatus[]> => {
    const known = await reader.lag();
    return known.map(({ partition, messages: lagMessages, seconds }) => {
      const status = statusOf(partition);
      const newest = status.lastEventTime;
      let lagSeconds = seconds;
      if (lagSeconds === null && lagMessages === 0) lagSeconds = 0;
      if (lagSeconds === null && newest !== null) lagSeconds = Math.max(0, (now() - newest) / 1000);
      return { ...status, lagMessages, lagSeconds };
    });
  };

  return {
    note(partition, lastOffset, newest) {
      const done = progress.get(partition) ?? { lastOffset: -1, lastEventTime: null };
      progress.set(partition, done);
      done.lastOffset = lastOffset;
      if (newest !== null) done.lastEventTime = Math.max(done.lastEventTime ?? newest, newest);
    },
    read,
    async sample() {
      if (!lagChannel.hasSubscribers) return;
      const partitions = await read();
      const present = new Set(partitions.map(({ partition }) => partition));
      const gone = [...sampled].filter((partition) => !present.has(partition));
      sampled = present;
      const left = gone.map((partition) => ({ ...statusOf(partition), lagMessages: null, lagSeconds: null }));
      lagChannel.publish({ source, partitions: [...partitions, ...left] } satisfies IngestionLagEvent);
    },
  };
}
