import { millraceError } from "../definitions/errors.ts";
import type { Value } from "../definitions/value.ts";
import { createByteWriter } from "../feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../feature_engineering/encoding/entity-key.ts";
import { keyText } from "../feature_engineering/encoding/key-text.ts";
import type { LoggedEvent, OwnedPartition } from "../feature_engineering/engine/event-log.ts";
import type { ValueWrite } from "../feature_engineering/engine/feature-sink.ts";
import { createEntityState, encodeEntityState, setPosition } from "../feature_engineering/windows/entity-state.ts";
import {
  createEvaluatedEvent,
  evaluateEvent,
  foldEvent,
  pruneState,
} from "../feature_engineering/windows/fold-event.ts";
import type { OfflineStore } from "./offline/offline-store.ts";
import type { OnlineStore } from "./online/online-store.ts";
import type { ViewRuntime } from "./view-runtime.ts";

export interface RebuildOptions {
  readonly view: ViewRuntime;
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** The entity keys to rebuild, each in the entity's order; null for every entity in history. */
  readonly keys: readonly (readonly Value[])[] | null;
  /** The source's clock: what no window behind it needs is left out. Epoch milliseconds. */
  readonly clock: number;
}

const ROUNDS = 100;
const BATCH = 500;

/**
 * Computes values anew from history and puts them in place of what is stored, while a stream may go on: the revision is
 * read first, then a snapshot of history with its positions, then compare-and-set of value and positions; on conflict
 * all over again for that entity. Returns how many values were written.
 *
 * @throws `HOT_STORE_CONTENTION` if an entity is written by others all the time.
 */
export async function rebuild(options: RebuildOptions): Promise<number> {
  const { view, online, offline } = options;
  const { layout, keyspace } = view;
  let written = 0;
  let keys = options.keys;
  for (let round = 0; keys === null || keys.length > 0; round++) {
    if (round === ROUNDS) {
      throw millraceError(
        "HOT_STORE_CONTENTION",
        `${keys?.length} values of view '${layout.view.name}' were changed ${ROUNDS} times while they were rebuilt: try again when its source is quieter.`,
        { kind: "operational" },
      );
    }
    // The positions are read before the history: what is committed in between is left out and folded by the stream.
    const partitions = await offline.partitions(layout.view.source.name);
    const conflicts: (readonly Value[])[] = [];
    const found = new Set<string>();
    let batch: { key: readonly Value[]; write: ValueWrite }[] = [];
    const flush = async (): Promise<void> => {
      const done = await online.compareAndSet(batch.map(({ write }) => write));
      for (let i = 0; i < batch.length; i++) {
        if (done[i]) written++;
        else conflicts.push(batch[i]!.key);
      }
      batch = [];
    };
    for await (const { key, events } of groups(options, keys)) {
      const bytes = encodeKey(view, key);
      found.add(String(bytes));
      const [stored] = await online.read([{ keyspace, key: bytes }]);
      const write = {
        keyspace,
        key: bytes,
        expectedRevision: stored?.revision ?? 0,
        bytes: compute(options, partitions, events),
      };
      batch.push({ key, write });
      if (batch.length === BATCH) await flush();
    }
    // Entities that have no history any more have no value either.
    for (const key of keys ?? []) {
      const bytes = encodeKey(view, key);
      const [stored] = found.has(String(bytes)) ? [null] : await online.read([{ keyspace, key: bytes }]);
      if (stored) batch.push({ key, write: { keyspace, key: bytes, expectedRevision: stored.revision, bytes: null } });
    }
    if (batch.length > 0) await flush();
    keys = conflicts;
  }
  return written;
}

async function* groups(
  { view: { layout }, offline }: RebuildOptions,
  keys: readonly (readonly Value[])[] | null,
): AsyncGenerator<{ key: readonly Value[]; events: LoggedEvent[] }> {
  let id: string | null = null;
  let current: { key: readonly Value[]; events: LoggedEvent[] } | null = null;
  const { name } = layout.view.source;
  const query = {
    source: name,
    keyColumns: layout.view.keyColumns,
    keys,
    from: null,
    before: null,
    knowledge: "event_time",
  } as const;
  for await (const events of offline.history(query)) {
    for (const event of events) {
      const next = keyText(event.row, layout.keyIndexes);
      if (current !== null && next === id) {
        current.events.push(event);
        continue;
      }
      if (current !== null) yield current;
      id = next;
      current = { key: layout.keyIndexes.map((index) => event.row[index]!), events: [event] };
    }
  }
  if (current !== null) yield current;
}

function compute(
  { view: { layout }, clock }: RebuildOptions,
  partitions: readonly OwnedPartition[],
  events: readonly LoggedEvent[],
): Uint8Array {
  const committed = new Map(partitions.map(({ partitionId, committed }) => [partitionId, committed]));
  const state = createEntityState(layout);
  const evaluated = createEvaluatedEvent(layout);
  for (const event of events) {
    if (event.offset > (committed.get(event.partitionId) ?? -1)) continue;
    evaluateEvent(layout, event.row, evaluated);
    foldEvent(layout, state, event, evaluated, clock);
  }
  for (const [partitionId, offset] of committed) if (offset >= 0) setPosition(state, partitionId, offset);
  pruneState(layout, state, clock);
  return encodeEntityState(layout, state);
}

function encodeKey({ layout }: ViewRuntime, key: readonly Value[]): Uint8Array {
  const out = createByteWriter(64);
  encodeEntityKey(layout.keyTypes, key, out);
  return out.finish();
}
