import type { DuckDBConnection } from "@duckdb/node-api";
import type {
  AcceptedPush,
  AppliedPosition,
  DeadLetter,
  LogCommit,
  LogCommitResult,
  OwnedPartition,
} from "../../feature_engineering/engine/event-log.ts";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import { checkRoomToCommit } from "./duckdb-disk-room.ts";
import type { DuckdbErasure } from "./duckdb-erasure.ts";
import { literal, VECTOR_ROWS } from "./duckdb-event-table.ts";
import { sortByKnownIds } from "./duckdb-known-events.ts";
import type { DuckdbRecords } from "./duckdb-records.ts";
import type { DuckdbSources } from "./duckdb-sources.ts";
import { idConflict } from "./id-conflict.ts";
import { partitionFenced } from "./offline-store-errors.ts";

/** The log's writing side: partitions, commits and applied positions. */
export interface DuckdbEventWriter {
  own(source: string, partition: string): Promise<OwnedPartition>;
  commit(request: LogCommit): Promise<LogCommitResult>;
  partitions(source: string): readonly OwnedPartition[];
  applied(viewVersion: string): readonly AppliedPosition[];
  setApplied(positions: readonly AppliedPosition[]): Promise<void>;
}

/** Loads the partitions and applied positions; as the file has one owner, memory and file agree from then on. */
export async function duckdbEventWriter(
  database: DuckdbDatabase,
  sources: DuckdbSources,
  records: DuckdbRecords,
  erasure: DuckdbErasure,
): Promise<DuckdbEventWriter> {
  const { api } = database;
  const partitions = new Map<number, OwnedPartition>();
  /** What the file holds, by view version and partition. */
  const applied = new Map<string, Map<number, number>>();
  /** Set, and to be written by the next transaction. */
  let pending: AppliedPosition[] = [];

  await database.write(async (connection) => {
    const stored = await connection.runAndReadAll(
      "SELECT partition_id, source, partition, owner_epoch, committed, cursor FROM partitions ORDER BY partition_id",
    );
    for (const [partitionId, source, partition, ownerEpoch, committed, cursor] of stored.getRows() as [
      number,
      string,
      string,
      bigint,
      bigint,
      string | null,
    ][]) {
      partitions.set(partitionId, {
        source,
        partition,
        partitionId,
        ownerEpoch: Number(ownerEpoch),
        committed: Number(committed),
        cursor,
      });
    }
    const positions = await connection.runAndReadAll('SELECT view_version, partition_id, "offset" FROM applied');
    for (const [viewVersion, partitionId, offset] of positions.getRows() as [string, number, bigint][]) {
      remember([{ viewVersion, partitionId, offset: Number(offset) }]);
    }
  });

  function remember(positions: readonly AppliedPosition[]): void {
    for (const { viewVersion, partitionId, offset } of positions) {
      let offsets = applied.get(viewVersion);
      if (offsets === undefined) {
        offsets = new Map();
        applied.set(viewVersion, offsets);
      }
      offsets.set(partitionId, offset);
    }
  }

  async function own(source: string, partition: string): Promise<OwnedPartition> {
    sources.get(source);
    return database.write(async (connection) => {
      const known = [...partitions.values()].find((p) => p.source === source && p.partition === partition);
      const owned: OwnedPartition =
        known === undefined
          ? { source, partition, partitionId: partitions.size + 1, ownerEpoch: 1, committed: -1, cursor: null }
          : { ...known, ownerEpoch: known.ownerEpoch + 1 };
      const { partitionId, ownerEpoch } = owned;
      if (known === undefined) {
        await connection.run("INSERT INTO partitions VALUES (?, ?, ?, ?, -1, NULL)", [
          partitionId,
          source,
          partition,
          ownerEpoch,
        ]);
      } else {
        await connection.run(`UPDATE partitions SET owner_epoch = ${ownerEpoch} WHERE partition_id = ${partitionId}`);
      }
      partitions.set(partitionId, owned);
      return owned;
    });
  }

  async function commit(request: LogCommit): Promise<LogCommitResult> {
    const { partition: owned, lastOffset } = request;
    const source = sources.get(owned.source);
    return database.write(async (connection) => {
      const current = partitions.get(owned.partitionId);
      if (current === undefined || current.ownerEpoch !== owned.ownerEpoch) throw partitionFenced(owned);
      const { committed } = current;
      const isNew = ({ offset }: { readonly offset: number }): boolean => offset > committed;
      const sent = request.events.every(isNew) ? request.events : request.events.filter(isNew);
      const events = erasure.filter.events(source.table.declaration, sent);
      const letters = request.deadLetters.filter(isNew);
      const { table } = source;
      const { inserted, duplicates, conflicts } = table.declaration.hasId
        ? await sortByKnownIds(api, connection, source, events)
        : { inserted: events, duplicates: 0, conflicts: [] };
      for (const event of conflicts)
        letters.push(idConflict(owned.source, owned.partition, table.declaration.columns, event));
      const pushes = lastOffset > committed ? (request.pushes ?? []) : [];
      if (lastOffset > committed) {
        if (inserted.length > 0) checkRoomToCommit(database.path);
        const cursor = request.cursor ?? current.cursor;
        await insert(connection, owned, { inserted, letters, pushes, lastOffset, cursor });
        partitions.set(owned.partitionId, { ...current, committed: lastOffset, cursor });
      }
      const { count } = erasure;
      return { inserted, duplicates, conflicts: conflicts.length, ...(count === 0 ? {} : { erasures: count }) };
    });
  }

  async function insert(
    connection: DuckDBConnection,
    owned: OwnedPartition,
    { inserted, letters, pushes, lastOffset, cursor }: InsertOrder,
  ): Promise<void> {
    const { table } = sources.get(owned.source);
    const moved = newPositions();
    await connection.run("BEGIN");
    try {
      if (inserted.length > 0) {
        const appender = await connection.createAppender(`events_${owned.source}`);
        for (let start = 0; start < inserted.length; start += VECTOR_ROWS) {
          appender.appendDataChunk(table.writeChunk(inserted, start));
        }
        appender.closeSync();
      }
      if (letters.length > 0) await records.insertDeadLetters(connection, letters);
      if (pushes.length > 0) await records.insertPushes(connection, owned.source, pushes);
      // One call into DuckDB: each costs a change of threads.
      await connection.run(
        `UPDATE partitions SET committed = ${lastOffset}${cursor === null ? "" : `, cursor = ${literal(cursor)}`} WHERE partition_id = ${owned.partitionId};
         ${moved.sql} COMMIT`,
      );
    } catch (cause) {
      pending.push(...moved.positions);
      await connection.run("ROLLBACK").catch(() => {});
      throw cause;
    }
    remember(moved.positions);
  }

  /** Takes what is pending: the positions that move forward, and how to write them. */
  function newPositions(): { readonly positions: readonly AppliedPosition[]; readonly sql: string } {
    const newest = new Map<string, AppliedPosition>();
    for (const position of pending) {
      const { viewVersion, partitionId, offset } = position;
      const key = `${partitionId}:${viewVersion}`;
      const before = newest.get(key)?.offset ?? applied.get(viewVersion)?.get(partitionId) ?? Number.NEGATIVE_INFINITY;
      if (offset > before) newest.set(key, position);
    }
    pending = [];
    const positions = [...newest.values()];
    const values = (isKnown: boolean): string =>
      positions
        .filter(({ viewVersion, partitionId }) => (applied.get(viewVersion)?.has(partitionId) ?? false) === isKnown)
        .map(({ viewVersion, partitionId, offset }) => `(${literal(viewVersion)}, ${partitionId}, ${offset})`)
        .join(", ");
    const updates = values(true);
    const inserts = values(false);
    let sql = "";
    if (updates !== "") {
      sql += `UPDATE applied SET "offset" = v.o FROM (VALUES ${updates}) v (w, p, o) WHERE view_version = v.w AND partition_id = v.p;`;
    }
    if (inserts !== "") sql += `INSERT INTO applied VALUES ${inserts};`;
    return { positions, sql };
  }

  async function setApplied(positions: readonly AppliedPosition[]): Promise<void> {
    database.checkOpen();
    pending.push(...positions);
    await database.write(async (connection) => {
      // A commit that was waiting already has written them too.
      if (pending.length === 0) return;
      const moved = newPositions();
      if (moved.positions.length === 0) return;
      try {
        await connection.run(`BEGIN; ${moved.sql} COMMIT`);
      } catch (cause) {
        pending.push(...moved.positions);
        await connection.run("ROLLBACK").catch(() => {});
        throw cause;
      }
      remember(moved.positions);
    });
  }

  return {
    own,
    commit,
    partitions: (source) => [...partitions.values()].filter((partition) => partition.source === source),
    applied: (viewVersion) =>
      [...(applied.get(viewVersion) ?? [])].map(([partitionId, offset]) => ({ viewVersion, partitionId, offset })),
    setApplied,
  };
}

interface InsertOrder {
  readonly inserted: LogCommitResult["inserted"];
  readonly letters: readonly DeadLetter[];
  readonly pushes: readonly AcceptedPush[];
  readonly cursor: string | null;
  readonly lastOffset: number;
}
