import type { Value } from "../../definitions/value.ts";
import type {
  AcceptedPush,
  AppliedPosition,
  DeadLetter,
  LogCommit,
  LogCommitResult,
  LoggedEvent,
  OwnedPartition,
} from "../../feature_engineering/engine/event-log.ts";
import { storeError } from "../store-error.ts";
import { idConflict } from "./id-conflict.ts";
import { memoryErasure } from "./memory-erasure.ts";
import type { EntityKeysQuery, HistoryQuery, OfflineStore, SourceTable, StoredDeadLetter } from "./offline-store.ts";
import { historyDropped, partitionFenced, sourceUnknown } from "./offline-store-errors.ts";
import { memoryLeases } from "./partition-leases.ts";
import { compareSchemas, conditionFailed } from "./schema-compatibility.ts";

export interface MemorySourceTable {
  table: SourceTable;
  events: LoggedEvent[];
  /** By id and event time. */
  readonly byId: Map<string, LoggedEvent>;
  readonly pushes: Map<string, AcceptedPush[]>;
  /** See `dropHistory`; minus infinity if nothing was dropped. */
  completeFrom: number;
}

/** Events per batch of `history` and `read`. */
const BATCH = 2_048;

/**
 * An {@link OfflineStore} in this process's memory, the reference for the others: nothing survives the process.
 * Throws `OFFLINE_STORE_UNAVAILABLE` after `close`.
 */
export function memoryOfflineStore(): OfflineStore {
  const sources = new Map<string, MemorySourceTable>();
  const partitions: OwnedPartition[] = [];
  const appliedOffsets = new Map<string, Map<number, number>>();
  const letters: StoredDeadLetter[] = [];
  const documents: { kind: string; name: string; json: string; putAt: number }[] = [];
  let lastLetter = 0;
  let closed = false;
  const erasure = memoryErasure({ sources, letters, checkOpen });

  function checkOpen(): void {
    if (closed) throw storeError("OFFLINE_STORE_UNAVAILABLE", "The memory offline store is closed: open a new one.");
  }

  function sourceOf(source: string): MemorySourceTable {
    checkOpen();
    const found = sources.get(source);
    if (found === undefined) throw sourceUnknown(source);
    return found;
  }

  function setAside(letter: DeadLetter): void {
    letters.push({ ...letter, bytes: letter.bytes.slice(), id: ++lastLetter });
  }

  function commit(request: LogCommit): LogCommitResult {
    const { partition: owned, events: sent, deadLetters, pushes, lastOffset } = request;
    const source = sourceOf(owned.source);
    const events = erasure.filter.events(source.table, sent);
    const current = partitions[owned.partitionId - 1];
    if (current === undefined || current.ownerEpoch !== owned.ownerEpoch) throw partitionFenced(owned);
    const { committed } = current;
    const inserted: LoggedEvent[] = [];
    let duplicates = 0;
    let conflicts = 0;
    for (const event of events) {
      if (event.offset <= committed) continue;
      const id = source.table.hasId && event.id !== null ? `${event.eventTime}:${event.id}` : null;
      const known = id === null ? undefined : source.byId.get(id);
      if (known === undefined) {
        inserted.push(event);
        if (id !== null) source.byId.set(id, event);
      } else if (samePayload(known, event)) {
        duplicates++;
      } else {
        conflicts++;
        setAside(idConflict(owned.source, owned.partition, source.table.columns, event));
      }
    }
    source.events.push(...inserted);
    for (const letter of deadLetters) if (letter.offset > committed) setAside(letter);
    if (lastOffset > committed) for (const push of pushes ?? []) recordPush(source, push);
    partitions[owned.partitionId - 1] =
      lastOffset > committed
        ? { ...current, committed: lastOffset, cursor: request.cursor ?? current.cursor }
        : current;
    const { count } = erasure;
    return { inserted, duplicates, conflicts, ...(count === 0 ? {} : { erasures: count }) };
  }

  function recordPush(source: MemorySourceTable, push: AcceptedPush): void {
    const known = source.pushes.get(push.idempotencyKey);
    if (known === undefined) source.pushes.set(push.idempotencyKey, [push]);
    else known.push(push);
  }

  function prepareSource(next: SourceTable): void {
    checkOpen();
    const stored = sources.get(next.source);
    if (stored === undefined || stored.events.length === 0) {
      sources.set(next.source, {
        table: next,
        events: [],
        byId: new Map(),
        pushes: stored?.pushes ?? new Map(),
        completeFrom: stored?.completeFrom ?? Number.NEGATIVE_INFINITY,
      });
      return;
    }
    const indexOf = new Map(stored.table.columns.map((column, index) => [column.name, index]));
    for (const condition of compareSchemas(stored.table, next).conditions) {
      const index = indexOf.get(condition.column)!;
      for (const { row } of stored.events) {
        const value = row[index]!;
        const fits = value === null ? !condition.noNulls : condition.values?.includes(value as string) !== false;
        if (!fits) throw conditionFailed(next.source, { ...condition, noNulls: value === null });
      }
    }
    const indexes = next.columns.map((column) => indexOf.get(column.name));
    stored.table = next;
    stored.events = stored.events.map((event) => ({
      ...event,
      row: indexes.map((index) => (index === undefined ? null : event.row[index]!)),
    }));
  }

  async function* history(query: HistoryQuery): AsyncGenerator<readonly LoggedEvent[]> {
    const { table, events, completeFrom } = sourceOf(query.source);
    if ((query.from ?? Number.NEGATIVE_INFINITY) < completeFrom) throw historyDropped(query.source, completeFrom);
    const indexes = query.keyColumns.map((name) => table.columns.findIndex((column) => column.name === name));
    const wanted = query.keys === null ? null : new Set(query.keys.map(keyText));
    const groups = new Map<string, LoggedEvent[]>();
    for (const event of events) {
      if (query.from !== null && event.eventTime < query.from) continue;
      if (query.before !== null && event.eventTime >= query.before) continue;
      const key = indexes.map((index) => event.row[index]!);
      if (key.some((value) => value === null)) continue;
      const text = keyText(key);
      if (wanted !== null && !wanted.has(text)) continue;
      const group = groups.get(text);
      if (group === undefined) groups.set(text, [event]);
      else group.push(event);
    }
    const moment = (event: LoggedEvent): number =>
      query.knowledge === "event_time" ? event.eventTime : Math.max(event.eventTime + 1, event.ingestedAt);
    for (const group of groups.values()) {
      group.sort((a, b) => moment(a) - moment(b) || a.partitionId - b.partitionId || a.offset - b.offset);
      yield* batches(group);
    }
  }

  async function* entityKeys({
    source,
    keyColumns,
    after,
  }: EntityKeysQuery): AsyncGenerator<readonly (readonly Value[])[]> {
    const { table, events } = sourceOf(source);
    const indexes = keyColumns.map((name) => table.columns.findIndex((column) => column.name === name));
    const keys = new Map<string, readonly Value[]>();
    for (const { row } of events) {
      const key = indexes.map((index) => row[index]!);
      if (!key.some((part) => part === null)) keys.set(keyText(key), key);
    }
    const behind = after === null ? "" : keyText(after);
    const texts = [...keys.keys()].filter((text) => text > behind).sort();
    for (let start = 0; start < texts.length; start += BATCH) {
      yield texts.slice(start, start + BATCH).map((text) => keys.get(text)!);
    }
  }

  async function* read(
    source: string,
    partitionId: number,
    after: number,
    upTo: number,
  ): AsyncGenerator<readonly LoggedEvent[]> {
    const { events } = sourceOf(source);
    yield* batches(
      events.filter((event) => event.partitionId === partitionId && event.offset > after && event.offset <= upTo),
    );
  }

  async function close(): Promise<void> {
    closed = true;
  }

  return {
    capabilities: { persistent: false, multiProcess: false },
    leases: memoryLeases(checkOpen),
    async dropHistory(name, before) {
      const source = sourceOf(name);
      const gone = source.events.filter((event) => event.eventTime < before);
      for (const event of gone) if (event.id !== null) source.byId.delete(`${event.eventTime}:${event.id}`);
      source.events = source.events.filter((event) => event.eventTime >= before);
      source.completeFrom = Math.max(source.completeFrom, before);
      return source.completeFrom;
    },
    prepareSource: async (table) => prepareSource(table),
    async own(source, partition) {
      sourceOf(source);
      const index = partitions.findIndex((known) => known.source === source && known.partition === partition);
      const known = partitions[index];
      const owned: OwnedPartition =
        known === undefined
          ? { source, partition, partitionId: partitions.length + 1, ownerEpoch: 1, committed: -1, cursor: null }
          : { ...known, ownerEpoch: known.ownerEpoch + 1 };
      partitions[owned.partitionId - 1] = owned;
      return owned;
    },
    commit: async (request) => commit(request),
    async partitions(source) {
      checkOpen();
      return partitions.filter((partition) => partition.source === source);
    },
    read,
    history,
    entityKeys,
    async applied(viewVersion) {
      checkOpen();
      return [...(appliedOffsets.get(viewVersion) ?? [])].map(([partitionId, offset]) => ({
        viewVersion,
        partitionId,
        offset,
      }));
    },
    async setApplied(positions: readonly AppliedPosition[]) {
      checkOpen();
      for (const { viewVersion, partitionId, offset } of positions) {
        let offsets = appliedOffsets.get(viewVersion);
        if (offsets === undefined) {
          offsets = new Map();
          appliedOffsets.set(viewVersion, offsets);
        }
        offsets.set(partitionId, Math.max(offset, offsets.get(partitionId) ?? -1));
      }
    },
    async seenPushes(source, keys, since) {
      const { pushes } = sourceOf(source);
      return keys.map((key) => pushes.get(key)?.find((push) => push.at >= since) ?? null);
    },
    async deadLetters({ source, limit }) {
      checkOpen();
      return letters
        .filter((letter) => source === undefined || letter.source === source)
        .reverse()
        .slice(0, limit);
    },
    async removeDeadLetters(ids) {
      checkOpen();
      const gone = new Set(ids);
      letters.splice(0, letters.length, ...letters.filter((letter) => !gone.has(letter.id)));
    },
    async putDocument(kind, name, json) {
      checkOpen();
      const index = documents.findIndex((document) => document.kind === kind && document.name === name);
      if (index >= 0) documents.splice(index, 1);
      documents.push({ kind, name, json, putAt: Date.now() });
    },
    async documents(kind) {
      checkOpen();
      return documents
        .filter((document) => document.kind === kind)
        .map(({ name, json, putAt }) => ({ name, json, putAt }));
    },
    ...erasure.methods,
    close,
    [Symbol.asyncDispose]: close,
  };
}

function samePayload(a: LoggedEvent, b: LoggedEvent): boolean {
  return a.hash0 === b.hash0 && a.hash1 === b.hash1 && a.hash2 === b.hash2 && a.hash3 === b.hash3;
}

/** Equal keys, and only those, have equal texts. */
function keyText(key: readonly Value[]): string {
  return key.map((value) => `${typeof value}:${String(value).length}:${String(value)}`).join();
}

function* batches(events: readonly LoggedEvent[]): Generator<readonly LoggedEvent[]> {
  for (let start = 0; start < events.length; start += BATCH) yield events.slice(start, start + BATCH);
}
