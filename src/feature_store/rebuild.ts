import { millraceError } from "../definitions/errors.ts";
import type { Value } from "../definitions/value.ts";
import { createByteWriter } from "../feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../feature_engineering/encoding/entity-key.ts";
import type { StoredValue, ValueWrite } from "../feature_engineering/engine/feature-sink.ts";
import { metaNames } from "../feature_engineering/engine/meta-names.ts";
import {
  createEntityState,
  decodeEntityState,
  type EntityState,
  encodeEntityState,
  setPosition,
} from "../feature_engineering/windows/entity-state.ts";
import {
  createEvaluatedEvent,
  evaluateEvent,
  expiryOf,
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
  /** With `keys: null`: only the entities behind this one, in the cold store's order. */
  readonly after?: readonly Value[] | null;
  /** The source's clock: what no window behind it needs is left out. Epoch milliseconds. */
  readonly clock: () => number;
  /** Entities that are read, computed and written together. Default 4,096. */
  readonly pageSize?: number;
  /** Called after each page is written, with its last key. */
  readonly onPage?: (result: RebuildResult, lastKey: readonly Value[]) => void | Promise<void>;
  /** Stops between two pages. */
  readonly signal?: AbortSignal;
}

export interface RebuildResult {
  readonly entities: number;
  /** Values that differed from history's, and were put right. */
  readonly written: number;
  /** Values that were right already. */
  readonly unchanged: number;
}

const ROUNDS = 100;

/**
 * Computes values anew from history and puts them in place of what is stored, while a stream may go on. In pages: the
 * revisions are read first, then the positions up to which the log is committed, then history up to these, then each
 * value with its positions is put by compare-and-set; what was changed meanwhile is done again. Values that are right
 * stay as they are. Bounded memory: one page of values.
 *
 * @throws `HOT_STORE_CONTENTION` if an entity is written by others all the time.
 */
export async function rebuild(options: RebuildOptions): Promise<RebuildResult> {
  const { view, signal, pageSize = 4_096 } = options;
  await noteExpired(options);
  let result: RebuildResult = { entities: 0, written: 0, unchanged: 0 };
  for await (const keys of pages(options, pageSize)) {
    if (signal?.aborted === true) break;
    let left = keys;
    for (let round = 0; left.length > 0; round++) {
      if (round === ROUNDS) {
        throw millraceError(
          "HOT_STORE_CONTENTION",
          `${left.length} values of view '${view.layout.view.name}' were changed ${ROUNDS} times while they were rebuilt: try again when its source is quieter.`,
          { kind: "operational" },
        );
      }
      const page = await rebuildPage(options, left);
      result = { ...result, written: result.written + page.written, unchanged: result.unchanged + page.unchanged };
      left = page.conflicts;
    }
    result = { ...result, entities: result.entities + keys.length };
    await options.onPage?.(result, keys.at(-1)!);
  }
  return result;
}

async function* pages(
  { view: { layout }, offline, keys, after = null }: RebuildOptions,
  size: number,
): AsyncGenerator<readonly (readonly Value[])[]> {
  if (keys !== null) {
    for (let from = 0; from < keys.length; from += size) yield keys.slice(from, from + size);
    return;
  }
  const { source, keyColumns } = layout.view;
  let page: (readonly Value[])[] = [];
  for await (const batch of offline.entityKeys({ source: source.name, keyColumns, after })) {
    page.push(...batch);
    while (page.length >= size) {
      yield page.slice(0, size);
      page = page.slice(size);
    }
  }
  if (page.length > 0) yield page;
}

/** The moment before which events are of no use at the clock; −Infinity if all are. As the sweep has it. */
function usefulFrom({ view: { layout }, clock }: RebuildOptions): number {
  const from = clock() - layout.reachMs - layout.futureBoundMs;
  return Number.isFinite(from) ? from : Number.NEGATIVE_INFINITY;
}

/**
 * Entities of which nothing is of use any more get no value: notes it, so that a read as of an older moment is refused,
 * not answered wrongly.
 */
async function noteExpired(options: RebuildOptions): Promise<void> {
  const { online, view } = options;
  const name = metaNames.expired(view.keyspace);
  const [known] = await online.readMeta([name]);
  const from = usefulFrom(options);
  if (from !== Number.NEGATIVE_INFINITY && (known === null || known === undefined || Number(known) < from)) {
    await online.writeMeta(new Map([[name, String(from)]]));
  }
}

interface RebuiltPage {
  readonly written: number;
  readonly unchanged: number;
  readonly conflicts: readonly (readonly Value[])[];
}

async function rebuildPage(options: RebuildOptions, keys: readonly (readonly Value[])[]): Promise<RebuiltPage> {
  const { view, online, offline } = options;
  const { layout, keyspace } = view;
  const { name: source } = layout.view.source;
  const entities = new Map<string, { key: readonly Value[]; bytes: Uint8Array; stored: StoredValue | null }>();
  for (const key of keys) {
    const bytes = encodeKey(view, key);
    entities.set(latin1(bytes), { key, bytes, stored: null });
  }
  // In this order: what a stored value holds was committed before its revision was read, so the positions cover it.
  const stored = await online.read([...entities.values()].map(({ bytes: key }) => ({ keyspace, key })));
  for (const [index, entity] of [...entities.values()].entries()) entity.stored = stored[index] ?? null;
  const partitions = await offline.partitions(source);
  const committed = new Map(partitions.map((partition) => [partition.partitionId, partition.committed]));
  const from = usefulFrom(options);
  const clock = options.clock();
  const writes: { readonly key: readonly Value[]; readonly write: ValueWrite }[] = [];
  let unchanged = 0;
  const finish = (id: string, state: EntityState): void => {
    const { key, bytes, stored: before } = entities.get(id)!;
    entities.delete(id);
    settle(view, state, clock, from);
    if (before !== null && isSame(view, state, before.bytes, clock, from)) {
      unchanged++;
      return;
    }
    for (const [partition, offset] of committed) if (offset >= 0) setPosition(state, partition, offset);
    const value = encodeEntityState(layout, state);
    const expiresAt = expiryOf(layout, state.maxEventTime);
    const write = { keyspace, key: bytes, expectedRevision: before?.revision ?? 0, bytes: value };
    writes.push({ key, write: expiresAt === undefined ? write : { ...write, expiresAt } });
  };

  const history = offline.history({
    source,
    keyColumns: layout.view.keyColumns,
    keys,
    from: from === Number.NEGATIVE_INFINITY ? null : from,
    before: null,
    knowledge: "event_time",
  });
  const evaluated = createEvaluatedEvent(layout);
  let current = null as { id: string; state: EntityState } | null;
  for await (const events of history) {
    for (const event of events) {
      if (event.offset > (committed.get(event.partitionId) ?? -1)) continue;
      const id = latin1(
        encodeKey(
          view,
          layout.keyIndexes.map((index) => event.row[index]!),
        ),
      );
      if (current?.id !== id) {
        if (current !== null) finish(current.id, current.state);
        current = { id, state: createEntityState(layout) };
      }
      evaluateEvent(layout, event.row, evaluated);
      foldEvent(layout, current.state, event, evaluated, clock);
    }
  }
  if (current !== null) finish(current.id, current.state);
  // Entities that have no history any more have no value either.
  for (const { key, bytes, stored: before } of entities.values()) {
    if (before === null) continue;
    writes.push({ key, write: { keyspace, key: bytes, expectedRevision: before.revision, bytes: null } });
  }
  const done = await online.compareAndSet(writes.map(({ write }) => write));
  const conflicts = writes.filter((_, index) => done[index] !== true).map(({ key }) => key);
  return { written: writes.length - conflicts.length, unchanged, conflicts };
}

/** Brings a state to the form in which equal ones have equal bytes. */
function settle({ layout }: ViewRuntime, state: EntityState, clock: number, from: number): void {
  pruneState(layout, state, clock);
  for (const [index, family] of state.families.entries()) {
    if (layout.families[index]!.hopMs > 0 && family.completeFrom < from) family.completeFrom = from;
  }
}

/** Whether the stored bytes are the state, positions apart. */
function isSame(view: ViewRuntime, state: EntityState, bytes: Uint8Array, clock: number, from: number): boolean {
  const stored = { ...decodeEntityState(view.layout, bytes), partitionId: -1, offset: -1, others: null };
  settle(view, stored, clock, from);
  return Buffer.compare(encodeEntityState(view.layout, stored), encodeEntityState(view.layout, state)) === 0;
}

const scratch = createByteWriter(64);

function encodeKey({ layout }: ViewRuntime, key: readonly Value[]): Uint8Array {
  scratch.reset();
  encodeEntityKey(layout.keyTypes, key, scratch);
  return scratch.finish();
}

/** Equal for equal bytes, and for those only. */
function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
