import { decodeLoggedPrediction } from "../logged-prediction.ts";
import type { OfflineStore } from "../offline/offline-store.ts";
import { createOutcomeJoin, type JoinPrediction, type OutcomeJoin } from "./outcome-join.ts";
import type { OutcomeReport } from "./outcome-report.ts";
import type { OutcomeRuntime } from "./outcome-runtime.ts";

/** Follows the prediction log and the events of one outcome. */
export interface OutcomeFollower {
  /** Reads what has come since the last call. One call at a time. */
  look(): Promise<OutcomeReport>;
}

export interface OutcomeFollowerOptions {
  readonly runtime: OutcomeRuntime;
  readonly offline: OfflineStore;
  /** The source's clock, epoch milliseconds. */
  readonly clock: () => Promise<number>;
  /** Wall clock, epoch milliseconds. */
  readonly now: () => number;
  /** Predictions that are held. Default 100,000. */
  readonly capacity?: number;
}

/** Predictions read at a time. */
const PAGE = 500;
/** Keys that history is asked for at a time; of more it is read whole. */
const KEYS = 500;
const MOST_KEYS = 5_000;
/** Records of transactions that began so long before others may still appear behind them, milliseconds. */
const OVERLAP_MS = 120_000;

/**
 * The log and history are the truth: what is held is read from them at the first look and grows by what they gained since.
 * A prediction that is read is matched with the events that history has by then; an event that is read, with the
 * predictions that are held by then. So none is missed whichever came first, and what is read twice changes nothing.
 * After an erasure all is read again.
 */
export function followOutcome(options: OutcomeFollowerOptions): OutcomeFollower {
  const { runtime, offline, clock, now, capacity = 100_000 } = options;
  const { model, source, withinMs } = runtime.meta;
  const longest = Math.max(...runtime.meta.windows.map(({ ms }) => ms));
  let join: OutcomeJoin;
  /** Events up to here were read, by partition; null before the first look. */
  let read: Map<number, number> | null = null;
  /** Every record up to this id was read. */
  let floor = 0;
  /** Records above it that were read, with when they were made. */
  let above = new Map<number, number>();
  let erasures = 0;

  function reset(): void {
    join = createOutcomeJoin(runtime, capacity);
    read = null;
    floor = 0;
    above = new Map();
  }
  reset();

  /** Newest first; of the first look as many as are held. */
  async function newPredictions(at: number): Promise<JoinPrediction[]> {
    const found: JoinPrediction[] = [];
    let beforeId: number | undefined;
    for (let seen = 0; seen <= capacity; ) {
      const page = await offline.predictions({
        model: model.name,
        afterId: floor,
        ...(beforeId === undefined ? {} : { beforeId }),
        limit: PAGE,
      });
      for (const stored of page) {
        if (above.has(stored.id)) continue;
        above.set(stored.id, stored.at);
        const prediction = runtime.readPrediction(stored, decodeLoggedPrediction(stored.json));
        if (prediction !== null && join.addPrediction(prediction)) found.push(prediction);
      }
      const last = page.at(-1);
      // By the wall clock what was made so long ago is needed no more; a replay's predictions are of another time.
      const isOld =
        source.clock === "wall" && last !== undefined && at - last.at > withinMs + source.latenessMs + longest;
      if (page.length < PAGE || isOld) break;
      beforeId = last!.id;
      seen += page.length;
    }
    for (const [id, made] of above) if (made < now() - OVERLAP_MS && id > floor) floor = id;
    for (const id of above.keys()) if (id <= floor) above.delete(id);
    return found;
  }

  async function readHistory(predictions: readonly JoinPrediction[]): Promise<void> {
    if (predictions.length === 0) return;
    const keys = new Map(predictions.map(({ historyKey }) => [JSON.stringify(historyKey.map(String)), historyKey]));
    let from = Number.POSITIVE_INFINITY;
    let to = Number.NEGATIVE_INFINITY;
    for (const { asOf } of predictions) {
      from = Math.min(from, asOf);
      to = Math.max(to, asOf);
    }
    const query = {
      source: source.name,
      keyColumns: runtime.historyColumns,
      from,
      before: to + withinMs,
      knowledge: "event_time",
    } as const;
    const all = [...keys.values()];
    const parts = all.length > MOST_KEYS ? [null] : chunksOf(all, KEYS);
    for (const part of parts) {
      for await (const events of offline.history({ ...query, keys: part })) {
        for (const event of events) join.addEvent(event);
      }
    }
  }

  return {
    async look() {
      try {
        return await lookOnce();
      } catch (error) {
        // Half of it may be read.
        reset();
        throw error;
      }
    },
  };

  async function lookOnce(): Promise<OutcomeReport> {
    const tombstones = await offline.tombstones();
    const lastErasure = tombstones.at(-1)?.id ?? 0;
    if (lastErasure !== erasures) reset();
    erasures = lastErasure;
    const partitions = await offline.partitions(source.name);
    const before = read;
    const time = await clock();
    await readHistory(await newPredictions(now()));
    for (const { partitionId, committed } of partitions) {
      const after = before === null ? committed : (before.get(partitionId) ?? -1);
      if (committed <= after) continue;
      for await (const events of offline.read(source.name, partitionId, after, committed)) {
        for (const event of events) join.addEvent(event);
      }
    }
    read = new Map(partitions.map(({ partitionId, committed }) => [partitionId, committed]));
    return join.report(time);
  }
}

function chunksOf<T>(list: readonly T[], size: number): (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}
