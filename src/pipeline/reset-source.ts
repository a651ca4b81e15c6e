import type { ConnectionsConfig } from "../config/connections.ts";
import { type MillraceError, millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { kafkaOffsets } from "../ingestion/sources/kafka-offsets.ts";
import { writeCursor } from "../ingestion/sources/kinesis-cursor.ts";
import { partitionBoard } from "./partition-board.ts";
import { partitionRuns } from "./partition-runs.ts";
import { kafkaOptionsOf } from "./source-reader.ts";

/** A place in a stream: its ends, a moment (epoch milliseconds), or the next offset of some partitions by name. */
export type ResetTo = "earliest" | "latest" | number | Readonly<Record<string, number>>;

export interface ResetOptions {
  readonly source: SourceMeta;
  readonly to: ResetTo;
  /** Only look what would be done. */
  readonly dryRun: boolean;
  readonly offline: OfflineStore;
  readonly connections: ConnectionsConfig;
  /** Whether this very process reads the source. */
  readonly isRead: boolean;
  /** Whether other processes may read it. */
  readonly shared: boolean;
}

export interface ResetPartition {
  readonly partition: string;
  /** The offset that would have been read next, and the one that is; null where the transport has no numbers. */
  readonly before: number | null;
  readonly after: number | null;
}

/**
 * Moves where a source is read on. Back: messages come again, those that history has (by position) or knows (by the
 * declared id) change nothing, and the rest is taken: what was passed over, or set aside and can be decoded now. Forward:
 * what lies between is not read. What history has is never changed.
 *
 * @throws `SOURCE_IS_READ` with the owners, while any process reads it; `RESET_UNSUPPORTED`, `RESET_INVALID`, and what
 * the transport throws
 */
export async function resetSource(options: ResetOptions): Promise<readonly ResetPartition[]> {
  const { source, offline } = options;
  const { connector } = source;
  await refuseWhileRead(options);
  if (connector.connector === "kinesis") return resetShards(options);
  if (connector.connector !== "kafka") throw unsupported(source);
  const runs = partitionRuns(offline, source.name);
  const targets = await kafkaTargets(options);
  const committed = new Map((await runs.current()).map((one) => [one.partition, one.committed]));
  const moved = targets.map(({ partition, next }) => {
    return { partition, before: (committed.get(partition) ?? -1) + 1, after: next };
  });
  if (!options.dryRun) {
    for (const { partition, before, after } of moved) {
      if (before !== after || !committed.has(partition)) await runs.restart(partition, after - 1);
    }
  }
  return moved;
}

async function refuseWhileRead({ source, offline, isRead, shared }: ResetOptions): Promise<void> {
  if (isRead) throw isReadBy(source, ["this process"]);
  if (!shared) return;
  const board = partitionBoard({ source: source.name, offline, shared, folds: [], now: Date.now });
  const owners = (await board.all([])).filter(
    ({ partition, owner }) => owner !== null && !partition.startsWith("http:"),
  );
  if (owners.length > 0) throw isReadBy(source, [...new Set(owners.map(({ owner }) => owner!))]);
}

function isReadBy(source: SourceMeta, owners: readonly string[]): MillraceError {
  return millraceError(
    "SOURCE_IS_READ",
    `The source '${source.name}' is read by ${owners.join(", ")}: stop the processes that ingest (one that died is forgotten after half a minute), then reset it and start them again.`,
    { details: { owners } },
  );
}

async function kafkaTargets({
  source,
  to,
  connections,
}: ResetOptions): Promise<readonly { readonly partition: string; readonly next: number }[]> {
  const offsets = typeof to === "object" ? to : null;
  const found = await kafkaOffsets(kafkaOptionsOf(source, connections), offsets === null ? (to as number) : "earliest");
  if (offsets === null) return found.map(({ partition, at }) => ({ partition, next: at }));
  return Object.entries(offsets).map(([partition, next]) => {
    const known = found.find((one) => one.partition === partition);
    if (known === undefined) {
      throw resetInvalid(
        `'${partition}' is no partition of the source '${source.name}': it has ${found.map((one) => one.partition).join(", ")}.`,
      );
    }
    if (!Number.isSafeInteger(next) || next < known.first || next > known.end) {
      throw resetInvalid(`Partition '${partition}' has the offsets ${known.first} to ${known.end}, not ${next}.`);
    }
    return { partition, next };
  });
}

/** Sequence numbers are no offsets of ours: a shard begins anew, and ids alone say what is known. */
async function resetShards(options: ResetOptions): Promise<readonly ResetPartition[]> {
  const { source, to, dryRun, offline } = options;
  if (source.id === null) {
    throw millraceError(
      "RESET_UNSUPPORTED",
      `Kinesis has no numbers by which messages that come again are known, and the source '${source.name}' declares no \`id\`: its events would count twice. Declare one, or read the stream as a source of another name with \`start\`.`,
    );
  }
  if (to !== "earliest" && typeof to !== "number") {
    throw resetInvalid(`A Kinesis source is reset to a moment or to 'earliest', not to ${JSON.stringify(to)}.`);
  }
  const runs = partitionRuns(offline, source.name);
  const shards = (await runs.current()).filter(({ partition }) => !partition.startsWith("http:"));
  const position = to === "earliest" ? ({ at: "trim" } as const) : ({ at: "time", time: to } as const);
  const cursor = writeCursor({ position, from: to === "earliest" ? null : to });
  if (!dryRun) for (const { partition } of shards) await runs.restart(partition, 0, cursor);
  return shards.map(({ partition }) => ({ partition, before: null, after: null }));
}

function unsupported({ name, connector }: SourceMeta): MillraceError {
  const instead =
    connector.connector === "pubsub"
      ? "seek its subscription (`gcloud pubsub subscriptions seek`): messages that come again are known by their ids, as long as `idempotencyWindow` says"
      : "only Kafka and Kinesis can be read again from a place; `millrace backfill` loads files into history";
  return millraceError(
    "RESET_UNSUPPORTED",
    `The source '${name}' (${connector.connector}) cannot be reset: ${instead}.`,
  );
}

function resetInvalid(message: string): MillraceError {
  return millraceError("RESET_INVALID", message);
}
