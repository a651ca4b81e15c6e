import { setTimeout as pause } from "node:timers/promises";
import type { ConnectionsConfig } from "../config/connections.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { kafkaOffsets } from "../ingestion/sources/kafka-offsets.ts";
import type { BoardPartition } from "./partition-board.ts";
import { kafkaOptionsOf } from "./source-reader.ts";

export interface CatchUpOptions {
  readonly source: SourceMeta;
  readonly offline: OfflineStore;
  readonly connections: ConnectionsConfig;
  /** All partitions of the source, whichever process reads them. */
  readonly partitions: () => Promise<readonly BoardPartition[]>;
  /** Resolves when everything that this process committed is readable. */
  readonly settled: () => Promise<void>;
}

/** How often it is looked, milliseconds. */
const LOOK_MS = 200;
/** A transport that does not count messages is caught up when the next one is so young, in seconds. */
const YOUNG_SECONDS = 1;
const KIND = "caught up";

/** Whether a source begins at a moment: then what reads it is used once it has caught up. */
export function beginsAtMoment({ connector }: Pick<SourceMeta, "connector">): boolean {
  return "start" in connector && typeof connector.start === "number";
}

/**
 * Resolves with true when every partition of a source was once read to its end, by whichever process, or with false when
 * `signal` aborts. That it was is kept: a later backlog is not waited for.
 */
export async function caughtUp(options: CatchUpOptions, signal: AbortSignal): Promise<boolean> {
  const { source, offline, partitions, settled } = options;
  while (!signal.aborted) {
    try {
      if ((await offline.documents(KIND)).some(({ name }) => name === source.name)) return true;
      const found = (await partitions()).filter(({ partition }) => !partition.startsWith("http:"));
      if (
        found.length > 0 &&
        found.every((partition) => isAtEnd(source, partition)) &&
        found.length >= (await expected(options))
      ) {
        await settled();
        await offline.putDocument(KIND, source.name, JSON.stringify({ at: new Date().toISOString() }));
        return true;
      }
    } catch {
      // The source's own loop says what is wrong, and tries again.
    }
    await pause(LOOK_MS, undefined, { signal }).catch(() => {});
  }
  return false;
}

/** Whether a partition is read to its end. Kafka counts its messages: while it says nothing, nothing is known. */
export function isAtEnd(
  { connector: { connector } }: Pick<SourceMeta, "connector">,
  { lagMessages, lagSeconds }: Pick<BoardPartition, "lagMessages" | "lagSeconds">,
): boolean {
  if (lagMessages !== null || connector === "kafka") return lagMessages === 0;
  return lagSeconds !== null && lagSeconds <= YOUNG_SECONDS;
}

/** A partition that nobody has taken yet is on no board. */
async function expected({ source, connections }: CatchUpOptions): Promise<number> {
  if (source.connector.connector !== "kafka") return 1;
  return (await kafkaOffsets(kafkaOptionsOf(source, connections), "latest")).length;
}
