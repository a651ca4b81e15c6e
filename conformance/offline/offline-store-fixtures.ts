import type { ColumnTypeSpec, Value } from "../../src/definitions/value.ts";
import { payloadHash } from "../../src/feature_engineering/encoding/payload-hash.ts";
import type { DeadLetter, LoggedEvent, OwnedPartition } from "../../src/feature_engineering/engine/event-log.ts";
import { entityKeyText } from "../../src/feature_store/offline/entity-key-text.ts";
import type {
  ErasureOrder,
  HistoryQuery,
  OfflineStore,
  PredictionRecord,
  SourceTable,
} from "../../src/feature_store/offline/offline-store.ts";

/** Opens a new store with these sources prepared; it is closed and removed after the test. */
export type OpenWith = (...tables: SourceTable[]) => Promise<OfflineStore>;

export function nullable(kind: ColumnTypeSpec["kind"], rest: Partial<ColumnTypeSpec> = {}): ColumnTypeSpec {
  return { kind, nullable: true, ...rest };
}
export function required(kind: ColumnTypeSpec["kind"]): ColumnTypeSpec {
  return { kind, nullable: false };
}

export const payments: SourceTable = {
  source: "payments",
  columns: [
    { name: "user_id", type: required("string") },
    { name: "amount", type: nullable("float64") },
  ],
  hasId: false,
};
export const orders: SourceTable = { ...payments, source: "orders", hasId: true };

export function logged(
  table: SourceTable,
  owned: OwnedPartition,
  offset: number,
  event: Partial<Pick<LoggedEvent, "eventTime" | "ingestedAt" | "version" | "id">>,
  row: readonly Value[],
): LoggedEvent {
  const [hash0, hash1, hash2, hash3] = payloadHash(table.columns, row) as unknown as [number, number, number, number];
  const { eventTime = 1_700_000_000_000 + offset, ingestedAt = eventTime + 250, version = null, id = null } = event;
  return {
    partitionId: owned.partitionId,
    offset,
    eventTime,
    version,
    ingestedAt,
    hash0,
    hash1,
    hash2,
    hash3,
    id,
    row,
  };
}

export function payment(
  owned: OwnedPartition,
  offset: number,
  { user = "ann", amount = offset as number | null }: { user?: string; amount?: number | null } = {},
): LoggedEvent {
  return logged(payments, owned, offset, {}, [user, amount]);
}

export function deadLetter(offset: number): DeadLetter {
  return {
    source: "payments",
    partition: "0",
    offset,
    code: "DECODE_FAILED",
    reason: `it's not JSON at ${offset}`,
    bytes: Uint8Array.of(0, 255, offset),
    at: 1_700_000_000_000 + offset,
  };
}

export function accepted(inserted: readonly LoggedEvent[]): object {
  return { inserted, duplicates: 0, conflicts: 0 };
}

export function query(source: string): HistoryQuery {
  return { source, keyColumns: ["user_id"], keys: null, from: null, before: null, knowledge: "event_time" };
}

export function commit(
  store: OfflineStore,
  partition: OwnedPartition,
  events: readonly LoggedEvent[],
  lastOffset: number,
): ReturnType<OfflineStore["commit"]> {
  return store.commit({ partition, events, deadLetters: [], lastOffset });
}

export async function all(batches: AsyncIterable<readonly LoggedEvent[]>): Promise<LoggedEvent[]> {
  const events: LoggedEvent[] = [];
  for await (const batch of batches) events.push(...batch);
  return events;
}

export function sorted<T extends { readonly partitionId: number }>(positions: readonly T[]): T[] {
  return [...positions].sort((a, b) => a.partitionId - b.partitionId);
}

/** When the erasures of the suite are ordered: after every event of `logged`. Epoch milliseconds. */
export const ERASED_AT = 1_800_000_000_000;

/** The user, who is the entity of `payments` and `orders`. */
export function erasure(user: string, changes: Partial<ErasureOrder> = {}): ErasureOrder {
  const role = { keyColumns: ["user_id"], nulledColumns: ["user_id"] };
  return {
    entity: "user",
    key: [user],
    keyTypes: [required("string")],
    roles: [
      { source: "payments", ...role },
      { source: "orders", ...role },
      { source: "no_such_source", ...role },
    ],
    at: ERASED_AT,
    ...changes,
  };
}

export function userKey(user: string): string {
  return entityKeyText("user", [required("string")], [user])!;
}

export function prediction(changes: Partial<PredictionRecord> = {}): PredictionRecord {
  return { model: "risk", at: ERASED_AT + 1_000, keys: [userKey("ann")], json: '{"it\'s":1}', ...changes };
}
