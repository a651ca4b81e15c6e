import { millraceError } from "../../definitions/errors.ts";
import { createEvaluatedEvent, evaluateEvent, expiredBefore, expiryOf, isExpired } from "../windows/fold-event.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import { createBoxedTable } from "./boxed-table.ts";
import { createEntityIdentifier } from "./entity-identifier.ts";
import { createEntityRows, type EntityId } from "./entity-rows.ts";
import type { LoggedEvent } from "./event-log.ts";
import type { FeatureSink, ValueWrite, WriteSession } from "./feature-sink.ts";
import { createFlatTable } from "./flat-table.ts";
import { createHeldPositions } from "./held-positions.ts";
import { metaNames } from "./meta-names.ts";

export interface ViewFolderOptions {
  readonly layout: ViewLayout;
  readonly keyspace: string;
  readonly sink: FeatureSink;
  /** What values are written in. Default: none, lost writes are not noticed. */
  readonly session?: () => WriteSession;
  /** How many entities stay in memory, at least. Default 262,144 where their states are small, else 65,536. */
  readonly cacheCapacity?: number;
  /** How many values go to the hot store at once. */
  readonly writeBatch: number;
}

/** Folds events into the values of one view version and writes them by compare-and-set. */
export interface ViewFolder {
  readonly layout: ViewLayout;
  readonly keyspace: string;
  /**
   * Folds events of one partition, in offset order, skipping those that a stored value has applied already; `clocks[i]`
   * is the source's clock at event i. Nothing is written before `write`.
   */
  fold(events: readonly LoggedEvent[], clocks: ArrayLike<number>): Promise<void>;
  /** Every stored value holds the partition's events up to the offset: said after `reset`, before the first `fold`. */
  holds(partitionId: number, offset: number): void;
  /**
   * Writes the changed values, or so many of those that were changed first. `durableApplied(partitionId)` is the offset
   * up to which positions need not be kept.
   * @throws `HOT_STORE_CONFLICT` if another writer changed a value, and the events to be folded again are forgotten.
   */
  write(clock: number, durableApplied: (partitionId: number) => number, most?: number): Promise<number>;
  /** Values that are changed and not written. */
  readonly unwritten: number;
  /** Lets go of the events that were folded since the last write, which only a conflict would need again. */
  forgetEvents(): void;
  /** Forgets everything in memory: after an error of the hot store, what was not applied is folded again from the log. */
  reset(): void;
  /** Events skipped because a key column was null, since the start. */
  readonly nullKeys: number;
  /** Writes that were refused because another writer had changed the value, since the start. */
  readonly conflicts: number;
}

interface Folded {
  readonly events: readonly LoggedEvent[];
  readonly clocks: ArrayLike<number>;
  /** The row of each event's entity; −1: none. */
  readonly rows: Int32Array;
}

const MAX_CONFLICT_ROUNDS = 100;
const CAPACITY = { flat: 262_144, boxed: 65_536 } as const;
/** Of a row. */
const CLEAN = 0;
const DIRTY = 1;
const ABSENT = 2;

export function createViewFolder(options: ViewFolderOptions): ViewFolder {
  const { layout, keyspace, sink, session, writeBatch } = options;
  const identify = createEntityIdentifier(layout);
  const evaluated = createEvaluatedEvent(layout);
  const held = createHeldPositions(layout);
  const flat = createFlatTable(layout);
  const capacity = options.cacheCapacity ?? (flat === null ? CAPACITY.boxed : CAPACITY.flat);
  let table = flat ?? createBoxedTable(layout);
  let entities = createEntityRows(capacity);
  let keys: (Uint8Array | null)[] = [];
  /** By row, the stored revision; 0 if there is no value. */
  let revisions: number[] = [];
  let states: number[] = [];
  let changed: number[] = [];
  /** What was folded since the last write: a conflict folds it again onto what another writer stored. */
  let pending: Folded[] | null = [];
  let nullKeys = 0;
  let conflicted = 0;

  const keyOf = (row: number): Uint8Array => identify.key(entities.idOf(row), keys[row]!);

  async function load(rows: readonly number[], clock: number, since: "folded" | "written"): Promise<void> {
    const wanted = rows.map((row) => ({ keyspace, key: keyOf(row) }));
    const stored = await sink.read(wanted);
    let completeFrom = Number.NEGATIVE_INFINITY;
    if (stored.includes(null)) {
      const [expired] = await sink.readMeta([metaNames.expired(keyspace)]);
      if (expired !== null && expired !== undefined) completeFrom = Number(expired);
      if (sink.capabilities.expires) completeFrom = Math.max(completeFrom, expiredBefore(layout, clock));
    }
    // After the values: a mark that a value was pruned by was set before the value was written. If the value changed
    // in between, its write is refused, and it is loaded again. Not only while the log is folded again: another process
    // that took a partition over may have folded, marked and pruned what this one is just about to fold.
    const marks = await sink.marks(keyspace);
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      const value = stored[i] ?? null;
      revisions[row] = value?.revision ?? 0;
      table.load(row, value?.bytes ?? null, completeFrom);
      held.loaded(row, value?.bytes ?? null, marks[sink.shardOf(wanted[i]!.key)]!, since);
      states[row] = CLEAN;
    }
  }

  function apply(row: number, event: LoggedEvent, clock: number): void {
    if (held.isAhead(row, event.partitionId, event.offset)) return;
    evaluateEvent(layout, event.row, evaluated);
    table.fold(row, event, evaluated, clock);
    if (states[row] !== DIRTY) {
      states[row] = DIRTY;
      changed.push(row);
    }
  }

  async function resolveConflicts(rows: readonly number[], clock: number): Promise<void> {
    conflicted += rows.length;
    if (pending === null) {
      throw millraceError(
        "HOT_STORE_CONFLICT",
        `Values of view '${layout.view.name}' were changed by another writer: they are folded again from the log.`,
        { kind: "operational" },
      );
    }
    await load(rows, clock, "written");
    const again = new Set(rows);
    for (const { events, clocks, rows: of } of pending) {
      for (let i = 0; i < events.length; i++) if (again.has(of[i]!)) apply(of[i]!, events[i]!, clocks[i]!);
    }
  }

  /** About in the order of their keys: neighbours lie together in stores that keep them so. */
  function inKeyOrder(rows: readonly number[]): number[] {
    const named = rows.map((row) => ({ row, id: entities.idOf(row) }));
    return named.sort((a, b) => compareIds(a.id, b.id)).map(({ row }) => row);
  }

  async function writePart(rows: readonly number[], clock: number, durable: (id: number) => number): Promise<number[]> {
    const encoded = table.encode(rows, clock, held.positionsFor(durable));
    const writes = rows.map((row, i): ValueWrite => {
      const expiresAt = expiryOf(layout, table.maxEventTime(row));
      const write = { keyspace, key: keyOf(row), expectedRevision: revisions[row]!, bytes: encoded[i]! };
      return expiresAt === undefined ? write : { ...write, expiresAt };
    });
    const done = await sink.compareAndSet(writes, session?.());
    const conflicts: number[] = [];
    for (let i = 0; i < rows.length; i++) {
      const row = rows[i]!;
      if (done[i]) {
        revisions[row]!++;
        states[row] = CLEAN;
      } else {
        conflicts.push(row);
      }
    }
    return conflicts;
  }

  function forget(row: number): boolean {
    if (states[row] === DIRTY) return false;
    table.release(row);
    held.forget(row);
    keys[row] = null;
    return true;
  }

  return {
    layout,
    keyspace,
    get nullKeys() {
      return nullKeys;
    },
    get unwritten() {
      return changed.length;
    },
    get conflicts() {
      return conflicted;
    },
    async fold(events, clocks) {
      const count = events.length;
      if (count === 0) return;
      const rows = new Int32Array(count);
      const missing: number[] = [];
      const { partitionId } = events[0]!;
      const after = held.folded(partitionId);
      for (let i = 0; i < count; i++) {
        const event = events[i]!;
        const id = event.offset <= after ? undefined : identify.id(event.row);
        if (id === undefined || id === null) {
          if (id === null) nullKeys++;
          rows[i] = -1;
          continue;
        }
        let row = entities.find(id);
        if (row < 0) {
          row = entities.add(id);
          keys[row] = identify.kept(event.row);
          states[row] = ABSENT;
          missing.push(row);
        } else if (states[row] === CLEAN && isExpired(layout, table.maxEventTime(row), clocks[i]!)) {
          // The store may have dropped it, and another writer begun it anew at a revision that it had before.
          states[row] = ABSENT;
          missing.push(row);
        }
        rows[i] = row;
      }
      if (missing.length > 0) await load(missing, clocks[count - 1]!, "folded");
      for (let i = 0; i < count; i++) if (rows[i]! >= 0) apply(rows[i]!, events[i]!, clocks[i]!);
      held.advance(partitionId, events[count - 1]!.offset);
      pending?.push({ events, clocks, rows });
    },
    holds: (partitionId, offset) => held.advance(partitionId, offset),
    forgetEvents() {
      pending = null;
    },
    reset() {
      table = createFlatTable(layout) ?? createBoxedTable(layout);
      entities = createEntityRows(capacity);
      held.clear();
      keys = [];
      revisions = [];
      states = [];
      changed = [];
      pending = [];
    },
    async write(clock, durableApplied, most = changed.length) {
      let written = 0;
      let next = changed.splice(0, most);
      for (let round = 0; next.length > 0; round++) {
        if (round === MAX_CONFLICT_ROUNDS) {
          throw millraceError(
            "HOT_STORE_CONTENTION",
            `Values of view '${layout.view.name}' were changed by another writer ${round} times in a row: one view version must have one kind of writer.`,
            { kind: "operational" },
          );
        }
        const batch = sink.capabilities.sorted && next.length > 1 ? inKeyOrder(next) : next;
        const conflicts: number[] = [];
        for (let from = 0; from < batch.length; from += writeBatch) {
          const part = batch.slice(from, from + writeBatch);
          const refused = await writePart(part, clock, durableApplied);
          written += part.length - refused.length;
          for (const row of refused) conflicts.push(row);
        }
        const later = changed.length;
        if (conflicts.length > 0) await resolveConflicts(conflicts, clock);
        // Now and not behind the others: who wrote so many takes what was folded before them for written.
        next = changed.splice(later);
      }
      if (changed.length === 0) {
        pending = [];
        held.written();
      }
      held.prune();
      entities.evict(forget);
      return written;
    },
  };
}

/** The order of the encoded keys, in which a text's length comes first; of the ids of one view. */
function compareIds(a: EntityId, b: EntityId): number {
  if (typeof a === "string" && typeof b === "string" && a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}
