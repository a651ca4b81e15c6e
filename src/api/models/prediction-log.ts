import type { ModelMeta } from "../../definitions/model.ts";
import type { Value } from "../../definitions/value.ts";
import { decodeEntityState, positionOf } from "../../feature_engineering/windows/entity-state.ts";
import type { OnlineRead } from "../../feature_store/feature-store.ts";
import { encodeLoggedPrediction, type LoggedRead } from "../../feature_store/logged-prediction.ts";
import { entityKeyText } from "../../feature_store/offline/entity-key-text.ts";
import type { PredictionRecord } from "../../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../../feature_store/online/online-store.ts";
import type { ReadValue } from "../../feature_store/online-reader.ts";
import { type PredictionRedaction, predictionRedaction } from "../../feature_store/prediction-redaction.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import type { PredictionRow } from "./model-output.ts";

/** Keeps a sample of the rows that models answered, off the path of requests. */
export interface PredictionLog {
  /** Which of a request's rows are kept, by the model's sample rate: of most requests none, and nothing more is asked of them. */
  choose(model: ModelMeta, rows: number): readonly number[];
  /** Takes the chosen rows of a request, in ascending order; never waits. `id`: what the answer is called. */
  offer(
    model: ModelMeta,
    version: string,
    reads: readonly OnlineRead[],
    answers: readonly PredictionRow[],
    id: string,
    chosen: readonly number[],
  ): void;
  /** Rows that were not kept because too many were waiting, or because they could not be written. */
  readonly dropped: number;
  /** Resolves when everything that was taken is written. */
  flush(): Promise<void>;
  close(): Promise<void>;
}

export interface PredictionLogOptions {
  readonly online: OnlineStore;
  readonly write: (records: readonly PredictionRecord[]) => Promise<void>;
  readonly onFailure: (error: unknown) => void;
  /** Rows that may wait. Default 2,000. */
  readonly capacity?: number;
  readonly random?: () => number;
  readonly now?: () => number;
}

interface Waiting {
  readonly model: ModelMeta;
  readonly version: string;
  readonly at: number;
  readonly runtime: ServiceRuntime;
  readonly asOf: number;
  readonly lookup: OnlineRead["lookups"][number];
  readonly inputs: OnlineRead["inputs"]["inputs"][number];
  readonly statuses: OnlineRead["inputs"]["statuses"][number];
  readonly outputs: Readonly<Record<string, Value>>;
  readonly id: string;
  readonly reads: readonly (ReadValue | null)[];
}

/** Rows per write, and how long fewer wait for more, milliseconds: a transaction costs more than its rows. */
const BATCH = 200;
const LINGER_MS = 200;

/**
 * Makes a prediction log. What a value holds is what its positions say, and for pruned ones the marks of its shard; the
 * marks are read after the value, and count for it if the value is still the same afterwards.
 */
export function createPredictionLog(options: PredictionLogOptions): PredictionLog {
  const { online, write, onFailure, capacity = 2_000, random = Math.random, now = Date.now } = options;
  let waiting: Waiting[] = [];
  let dropped = 0;
  let draining: Promise<void> | null = null;
  /** Complete, and not written yet. */
  let pending: PredictionRecord[] = [];
  let writing: Promise<void> = Promise.resolve();
  let timer: NodeJS.Timeout | null = null;

  async function drain(): Promise<void> {
    // Behind the request that woke it.
    await new Promise((resolve) => setImmediate(resolve));
    while (waiting.length > 0) {
      const batch = waiting.slice(0, BATCH);
      waiting = waiting.slice(BATCH);
      try {
        pending.push(...(await toRecords(batch)));
      } catch (error) {
        lost(batch.length, error);
      }
      if (pending.length >= BATCH) await writeOut();
      else timer ??= setTimeout(() => void writeOut(), LINGER_MS);
    }
  }

  function writeOut(): Promise<void> {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    const records = pending;
    pending = [];
    if (records.length > 0) {
      writing = writing.then(() => write(records)).catch((error: unknown) => lost(records.length, error));
    }
    return writing;
  }

  function lost(rows: number, error: unknown): void {
    dropped += rows;
    onFailure(error);
  }

  /** By model, then by the service as it is compiled. */
  const redactions = new WeakMap<ModelMeta, WeakMap<ServiceRuntime, PredictionRedaction>>();
  function redactionOf({ model, runtime }: Waiting): PredictionRedaction {
    const ofModel = redactions.get(model) ?? new WeakMap<ServiceRuntime, PredictionRedaction>();
    redactions.set(model, ofModel);
    const found = ofModel.get(runtime) ?? predictionRedaction(model, runtime);
    ofModel.set(runtime, found);
    return found;
  }

  async function toRecords(batch: readonly Waiting[]): Promise<PredictionRecord[]> {
    const reads = batch.flatMap((row) => row.reads.filter((read): read is ReadValue => read !== null));
    const marks = new Map<string, readonly ReadonlyMap<number, number>[]>();
    for (const { keyspace } of reads) if (!marks.has(keyspace)) marks.set(keyspace, await online.marks(keyspace));
    const after = await online.read(reads);
    const changed = new Set(reads.filter((read, index) => !isSame(read.value, after[index] ?? null)));
    return batch.map((row): PredictionRecord => {
      const { lookup: hidden, slots } = redactionOf(row);
      const isKeyless = row.runtime.lookups.some(({ keyIndexes }) => keyIndexes.some((index) => hidden.has(index)));
      // Without its keys a row cannot be computed again.
      const isUnknown = isKeyless || row.reads.some((read) => read !== null && changed.has(read));
      const views = isUnknown
        ? null
        : row.reads.map((read, index): LoggedRead => {
            const { layout, keyspace } = row.runtime.lookups[index]!.runtime;
            if (read === null) return { keyspace, positions: null };
            const positions = new Map(marks.get(keyspace)![online.shardOf(read.key)] ?? []);
            if (read.value !== null) {
              const state = decodeEntityState(layout, read.value.bytes);
              for (const partition of [state.partitionId, ...(state.others?.keys() ?? [])]) {
                if (partition < 0) continue;
                positions.set(partition, Math.max(positionOf(state, partition), positions.get(partition) ?? -1));
              }
            }
            return { keyspace, positions: [...positions].sort((a, b) => a[0] - b[0]) };
          });
      const keys = row.runtime.lookups.map(({ runtime: { layout }, keyIndexes }) =>
        keyIndexes.some((index) => hidden.has(index))
          ? null
          : entityKeyText(
              layout.view.entity.name,
              layout.keyTypes,
              keyIndexes.map((index) => row.lookup[index]!),
            ),
      );
      return {
        model: row.model.name,
        at: row.at,
        keys: [...new Set(keys.filter((key) => key !== null))],
        json: encodeLoggedPrediction({
          modelVersion: row.version,
          service: row.runtime.service.name,
          serviceHash: row.runtime.hash,
          asOf: row.asOf,
          lookup: row.lookup.map((value, index) => (hidden.has(index) ? null : value)),
          inputs: row.inputs.map((value, slot) => (slots.has(slot) ? null : value)),
          ...(slots.size === 0 ? {} : { redacted: [...slots].sort((a, b) => a - b) }),
          statuses: row.statuses,
          outputs: row.outputs,
          sampleRate: row.model.logSampleRate,
          id: row.id,
          views,
        }),
      };
    });
  }

  function wake(): void {
    draining ??= drain().finally(() => {
      draining = null;
      if (waiting.length > 0) wake();
    });
  }

  async function flush(): Promise<void> {
    while (draining !== null) await draining;
    await writeOut();
  }

  return {
    get dropped() {
      return dropped;
    },
    choose({ logSampleRate }, rows) {
      const chosen: number[] = [];
      for (let row = 0; row < rows; row++) if (random() < logSampleRate) chosen.push(row);
      return chosen;
    },
    offer(model, version, reads, answers, id, chosen) {
      const at = now();
      let first = 0;
      let next = 0;
      for (const { runtime, lookups, asOf, inputs } of reads) {
        const end = first + lookups.length;
        let all: readonly (ReadValue | null)[] | null = null;
        for (; next < chosen.length && chosen[next]! < end; next++) {
          if (waiting.length + pending.length >= capacity) {
            dropped++;
            continue;
          }
          const row = chosen[next]! - first;
          all ??= inputs.reads();
          const count = runtime.lookups.length;
          waiting.push({
            model,
            version,
            at,
            runtime,
            asOf,
            lookup: lookups[row]!,
            inputs: inputs.inputs[row]!,
            statuses: inputs.statuses[row]!,
            outputs: answers[first + row]!,
            id: `${id}:${first + row}`,
            reads: all.slice(row * count, (row + 1) * count),
          });
        }
        first = end;
      }
      if (waiting.length > 0) wake();
    },
    flush,
    close: flush,
  };
}

function isSame(a: ReadValue["value"], b: ReadValue["value"]): boolean {
  if (a === null || b === null) return a === b;
  return a.revision === b.revision && Buffer.compare(a.bytes, b.bytes) === 0;
}
