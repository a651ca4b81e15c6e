import { hostname } from "node:os";
import { isMillraceError } from "../definitions/errors.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { PartitionStatus } from "../ingestion/channels.ts";
import { partitionRuns } from "./partition-runs.ts";

/** A partition of a source, whoever reads it. */
export interface BoardPartition extends PartitionStatus {
  /** `host:pid` of the process that reads it; null if none has said so for half a minute. */
  readonly owner: string | null;
  /** The last offset in the cold store; −1 if none is. */
  readonly committed: number;
}

export interface PartitionBoardOptions {
  readonly source: string;
  readonly offline: OfflineStore;
  /** Whether other processes read partitions of the source too. */
  readonly shared: boolean;
  /** The view versions that this process folds what it reads into. */
  readonly folds: readonly string[];
  /** Wall clock, epoch milliseconds. */
  readonly now: () => number;
}

/** Where the processes that read a source tell each other what each of them reads, and how far behind it is. */
export interface PartitionBoard {
  /** To be called now and then with what this process reads. */
  tell(own: readonly PartitionStatus[]): Promise<void>;
  /** All partitions: this process's as they are now, those of others as they told. While the cold store is away, only its own. */
  all(own: readonly PartitionStatus[]): Promise<readonly BoardPartition[]>;
  /**
   * The partitions whose reader, this process or one that told so lately, folds into all of this process's view versions,
   * each with its reader.
   */
  foldedByReader(own: readonly PartitionStatus[]): Promise<ReadonlyMap<string, string>>;
  /** Takes back what this process told: it reads nothing any more. */
  leave(): Promise<void>;
}

interface Told extends PartitionStatus {
  /** Null: its last reader has left. */
  readonly owner: string | null;
  readonly folds?: readonly string[];
}

/** How often a process tells, and after which silence nobody seems to read a partition; milliseconds. */
const TELL_MS = 5_000;
const SILENT_MS = 30_000;

export function partitionBoard({ source, offline, shared, folds, now }: PartitionBoardOptions): PartitionBoard {
  const me = `${hostname()}:${process.pid}`;
  const kind = `partitions of ${source}`;
  let toldAt = Number.NEGATIVE_INFINITY;
  let told = false;

  return {
    async tell(own) {
      if (!shared || now() - toldAt < TELL_MS) return;
      toldAt = now();
      told ||= own.length > 0;
      for (const status of own) {
        await offline.putDocument(
          kind,
          status.partition,
          JSON.stringify({ ...status, owner: me, folds } satisfies Told),
        );
      }
    },
    async leave() {
      if (!told) return;
      for (const { name, json } of await offline.documents(kind)) {
        const status = JSON.parse(json) as Told;
        if (status.owner !== me) continue;
        const left = { ...status, owner: null, folds: [], lagMessages: null, lagSeconds: null };
        await offline.putDocument(kind, name, JSON.stringify(left satisfies Told));
      }
    },
    async foldedByReader(own) {
      const found = new Map<string, string>();
      for (const { partition, owner, folds: foldedTo = [] } of await lately()) {
        if (owner !== null && folds.every((view) => foldedTo.includes(view))) found.set(partition, owner);
      }
      for (const { partition } of own) found.set(partition, me);
      return found;
    },
    async all(own) {
      try {
        return await everyPartition(own);
      } catch (error) {
        // Without the cold store, what this process reads is still known, and its sources say what is wrong.
        if (!isMillraceError(error) || error.kind !== "operational") throw error;
        return sorted(own.map((status) => ({ ...status, owner: me, committed: status.lastOffset ?? -1 })));
      }
    },
  };

  /** What processes told, if not too long ago. */
  async function lately(): Promise<readonly Told[]> {
    const told = shared ? await offline.documents(kind) : [];
    return told.filter(({ putAt }) => now() - putAt <= SILENT_MS).map(({ json }) => JSON.parse(json) as Told);
  }

  async function everyPartition(own: readonly PartitionStatus[]): Promise<readonly BoardPartition[]> {
    const found = new Map<string, BoardPartition>();
    for (const { partition, committed } of await partitionRuns(offline, source).current()) {
      const unknown = { lastOffset: null, lastEventTime: null, lagMessages: null, lagSeconds: null };
      found.set(partition, { partition, committed, owner: null, ...unknown });
    }
    const put = ({ folds: _, ...status }: Told): void => {
      found.set(status.partition, { committed: found.get(status.partition)?.committed ?? -1, ...status });
    };
    for (const status of await lately()) put(status);
    for (const status of own) put({ ...status, owner: me });
    return sorted([...found.values()]);
  }
}

function sorted(partitions: BoardPartition[]): readonly BoardPartition[] {
  return partitions.sort((a, b) => a.partition.localeCompare(b.partition, "en", { numeric: true }));
}
