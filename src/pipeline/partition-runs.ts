import type { EventLog, LogCommit, OwnedPartition } from "../feature_engineering/engine/event-log.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";

/**
 * A source's partitions that may have been set back to be read again. Each time one is, the cold store gets another
 * partition for it, a run of its own, in which offsets begin below those that it has already: `orders:0`, then
 * `orders:0~1`, … Of what is read again, the offsets that an earlier run has are dropped; the rest is inserted and
 * folded as anything new is. To engine and source a partition has one name, that of the transport, whichever its run.
 */
export interface PartitionRuns {
  /** The cold store's log with runs resolved; earlier ones are there as partitions of other names. */
  readonly log: EventLog;
  /** The partitions as they are read now, without their earlier runs. */
  current(): Promise<readonly OwnedPartition[]>;
  /**
   * Lets a partition go on behind an offset of its transport (−1: from the first one on). Fences whoever reads it. Set
   * back, its dead letters behind the offset are forgotten: their messages come again. With a cursor, of a transport
   * whose positions are no numbers, offsets are counted anew: then nothing but a declared id tells what is known.
   */
  restart(partition: string, after: number, cursor?: string): Promise<void>;
}

/** Says that a run goes on at its offset, even if nothing is committed in it: no other cursor of Kafka's exists. */
export const RESTARTED = "restarted";

interface Run {
  readonly run: number;
  readonly counted: "by transport" | "here";
}

const RUN = /^(.*)~(\d+)$/s;

export function partitionRuns(offline: OfflineStore, source: string): PartitionRuns {
  const kind = `runs of ${source}`;
  /** By partition id, of those that are owned: what earlier runs may know. */
  const earlier = new Map<number, readonly OwnedPartition[]>();

  /** The run of each partition that was set back. */
  async function runs(): Promise<ReadonlyMap<string, Run>> {
    const found = await offline.documents(kind);
    return new Map(found.map(({ name, json }) => [name, JSON.parse(json) as Run]));
  }

  const storedName = (partition: string, run: number): string => (run === 0 ? partition : `${partition}~${run}`);

  function runOf(stored: string): { readonly partition: string; readonly run: number } {
    const [, partition, run] = RUN.exec(stored) ?? [null, stored, "0"];
    return { partition: partition!, run: Number(run) };
  }

  /** As the engine knows it: the present run under the transport's name. */
  function named(stored: OwnedPartition, known: ReadonlyMap<string, Run>): OwnedPartition {
    const { partition, run } = runOf(stored.partition);
    if (run !== (known.get(partition)?.run ?? 0)) return { ...stored, partition: `${partition}~${run}` };
    return { ...stored, partition, cursor: stored.cursor ?? (run > 0 ? RESTARTED : null) };
  }

  async function all(): Promise<readonly OwnedPartition[]> {
    const stored = await offline.partitions(source);
    const known = await runs();
    return known.size === 0 ? stored : stored.map((one) => named(one, known));
  }

  async function own(partition: string): Promise<OwnedPartition> {
    const known = await runs();
    const { run, counted } = known.get(partition) ?? { run: 0, counted: "by transport" };
    const stored = await offline.own(source, storedName(partition, run));
    if (run > 0 && counted === "by transport") {
      const before: OwnedPartition[] = [];
      for (const other of await offline.partitions(source)) {
        const one = runOf(other.partition);
        // Taken over too: nobody adds anything to it any more.
        if (one.partition === partition && one.run < run) before.push(await offline.own(source, other.partition));
      }
      earlier.set(stored.partitionId, before);
    }
    return named(stored, known);
  }

  /** Which of the offsets from `first` to `last` earlier runs have. */
  async function knownOffsets(partitionId: number, first: number, last: number): Promise<ReadonlySet<number>> {
    const offsets = new Set<number>();
    for (const run of earlier.get(partitionId) ?? []) {
      if (run.committed < first) continue;
      for await (const events of offline.read(source, run.partitionId, first - 1, Math.min(last, run.committed))) {
        for (const { offset } of events) offsets.add(offset);
      }
    }
    return offsets;
  }

  async function commit(request: LogCommit): ReturnType<EventLog["commit"]> {
    const { partitionId } = request.partition;
    const first = Math.min(...[request.events[0], request.deadLetters[0]].map((one) => one?.offset ?? Infinity));
    if (first === Infinity || !earlier.has(partitionId)) return offline.commit(request);
    const known = await knownOffsets(partitionId, first, request.lastOffset);
    if (known.size === 0) return offline.commit(request);
    const isNew = ({ offset }: { readonly offset: number }): boolean => !known.has(offset);
    const events = request.events.filter(isNew);
    const result = await offline.commit({ ...request, events, deadLetters: request.deadLetters.filter(isNew) });
    return { ...result, duplicates: result.duplicates + request.events.length - events.length };
  }

  return {
    log: {
      own: (_source, partition) => own(partition),
      commit,
      partitions: all,
      read: offline.read,
      applied: offline.applied,
      setApplied: offline.setApplied,
    },
    async current() {
      const known = await runs();
      return (await all()).filter(({ partition }) => !known.has(runOf(partition).partition) || !RUN.test(partition));
    },
    async restart(partition, after, cursor) {
      const before = await own(partition);
      if (cursor === undefined && after >= before.committed) {
        await moveTo(before, after);
        return;
      }
      const numbers = (await offline.partitions(source)).map((one) => runOf(one.partition));
      const run = 1 + Math.max(0, ...numbers.filter((one) => one.partition === partition).map((one) => one.run));
      await moveTo(await offline.own(source, storedName(partition, run)), after, cursor);
      const counted = cursor === undefined ? "by transport" : "here";
      await offline.putDocument(kind, partition, JSON.stringify({ run, counted } satisfies Run));
      if (cursor !== undefined) return;
      const letters = await offline.deadLetters({ source, limit: 1_000_000 });
      const again = letters.filter((letter) => letter.partition === partition && letter.offset > after);
      await offline.removeDeadLetters(again.map(({ id }) => id));
    },
  };

  async function moveTo(partition: OwnedPartition, offset: number, cursor?: string): Promise<void> {
    if (offset <= partition.committed) return;
    const moved = { partition, events: [], deadLetters: [], lastOffset: offset };
    await offline.commit(cursor === undefined ? moved : { ...moved, cursor });
  }
}
