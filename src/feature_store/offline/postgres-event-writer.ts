import type { PoolClient } from "pg";
import type {
  AcceptedPush,
  AppliedPosition,
  LogCommit,
  LogCommitResult,
  OwnedPartition,
} from "../../feature_engineering/engine/event-log.ts";
import { idConflict } from "./id-conflict.ts";
import { partitionFenced } from "./offline-store-errors.ts";
import { copyIn } from "./postgres-copy.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresErasure } from "./postgres-erasure.ts";
import { codeOf, isCollision } from "./postgres-error.ts";
import { sortByKnownIds } from "./postgres-known-events.ts";
import { withoutLongKeys } from "./postgres-long-keys.ts";
import type { PostgresRecords } from "./postgres-records.ts";
import type { PostgresSource, PostgresSources } from "./postgres-sources.ts";
import { fromStoredText, textLiteral, toStoredText } from "./postgres-text.ts";

/** The log's writing side: partitions, commits and applied positions. */
export interface PostgresEventWriter {
  own(source: string, partition: string): Promise<OwnedPartition>;
  commit(request: LogCommit): Promise<LogCommitResult>;
  partitions(source: string): Promise<readonly OwnedPartition[]>;
  applied(viewVersion: string): Promise<readonly AppliedPosition[]>;
  setApplied(positions: readonly AppliedPosition[]): Promise<void>;
}

/** A commit of which it is not known yet whether it took effect: its connection was lost in between. */
interface Doubt {
  readonly ownerEpoch: number;
  readonly lastOffset: number;
  readonly result: LogCommitResult;
}

interface PartitionRow {
  readonly partition_id: number;
  readonly partition: string;
  readonly owner_epoch: string;
  readonly committed: string;
  readonly cursor: string | null;
}

interface LockedRow {
  readonly committed: string;
  readonly erasures: string;
}

/** Commits that look for known ids before they insert, after one that met some. */
const LOOK_FIRST = 20;
/** How often a commit that collides with those of other processes begins again. */
const ATTEMPTS = 20;
/** No table has this event's time. */
const NO_TIME_PARTITION = "23514";
/** An entry is too long for its index. */
const TOO_LONG = "54000";

export function postgresEventWriter(
  database: PostgresDatabase,
  sources: PostgresSources,
  records: PostgresRecords,
  erasure: PostgresErasure,
): PostgresEventWriter {
  const { schema } = database;
  const doubts = new Map<number, Doubt>();
  /** The last commit of each partition: those of one go one after the other, in the order of the calls. */
  const turns = new Map<number, Promise<unknown>>();

  async function own(source: string, partition: string): Promise<OwnedPartition> {
    await sources.get(source);
    return database.repeatable(async (client) => {
      const values = [source, toStoredText(partition)];
      const returning = "RETURNING partition_id, owner_epoch, committed, cursor";
      // Not by one INSERT alone, which would use a number up each time.
      let result = await client.query<PartitionRow>(
        `UPDATE ${schema}.partitions SET owner_epoch = owner_epoch + 1 WHERE source = $1 AND "partition" = $2 ${returning}`,
        values,
      );
      if (result.rowCount === 0) {
        result = await client.query<PartitionRow>(
          `INSERT INTO ${schema}.partitions AS p (source, "partition", owner_epoch, committed) VALUES ($1, $2, 1, -1)
           ON CONFLICT (source, "partition") DO UPDATE SET owner_epoch = p.owner_epoch + 1 ${returning}`,
          values,
        );
      }
      return ownedPartition(source, partition, result.rows[0]!);
    });
  }

  async function commit(request: LogCommit): Promise<LogCommitResult> {
    const { partitionId } = request.partition;
    const before = turns.get(partitionId) ?? Promise.resolve();
    const done = before.then(
      () => commitNow(request),
      () => commitNow(request),
    );
    turns.set(partitionId, done);
    return done;
  }

  async function commitNow(request: LogCommit): Promise<LogCommitResult> {
    const source = await sources.get(request.partition.source);
    for (let attempt = 1; ; attempt++) {
      try {
        return await database.repeatable((client) => commitOnce(client, source, request));
      } catch (cause) {
        const lost = codeOf((cause as Error).cause) === NO_TIME_PARTITION;
        if (lost) source.parts.forget();
        const isTooLong = codeOf((cause as Error).cause) === TOO_LONG && !source.measures;
        if (isTooLong) source.measures = true;
        const collides = isCollision((cause as Error).cause);
        if (collides) source.lookFirst = LOOK_FIRST;
        if ((!lost && !isTooLong && !collides) || attempt === ATTEMPTS) throw cause;
      }
    }
  }

  async function commitOnce(client: PoolClient, source: PostgresSource, request: LogCommit): Promise<LogCommitResult> {
    const { partition: owned, lastOffset } = request;
    const { table } = source;
    await source.parts.ensure(client, request.events);
    const locked = await client.query(
      `BEGIN; ${erasure.holdOff}; SELECT committed, ${erasure.version} AS erasures FROM ${schema}.partitions
       WHERE partition_id = ${owned.partitionId} AND owner_epoch = ${owned.ownerEpoch} FOR NO KEY UPDATE`,
    );
    const [row] = (locked as unknown as { rows: LockedRow[] }[])[2]!.rows;
    if (row === undefined) throw partitionFenced(owned);
    const committed = Number(row.committed);
    const settled = settle(owned, committed);
    const { filter, count } = await erasure.at(client, row.erasures);
    const erasures = count === 0 ? {} : { erasures: count };
    const isNew = ({ offset }: { readonly offset: number }): boolean => offset > committed;
    if (lastOffset <= committed) {
      await client.query("COMMIT");
      doubts.delete(owned.partitionId);
      return settled ?? { inserted: [], duplicates: 0, conflicts: 0, ...erasures };
    }
    const pushes = request.pushes ?? [];
    // One message may have reached two processes, which both found its key unknown before they sent it here.
    const repeated = pushes.length > 0 ? await records.knownPushes(client, owned.source, pushes) : [];
    const counts =
      repeated.length === 0 ? isNew : (at: { readonly offset: number }) => isNew(at) && !within(repeated, at);
    const sent = request.events.every(counts) ? request.events : request.events.filter(counts);
    const repetitions = repeated.length === 0 ? 0 : request.events.filter(isNew).length - sent.length;
    const letters = request.deadLetters.filter(counts);
    let events = filter.events(table.declaration, sent);
    if (source.measures) {
      const measured = await withoutLongKeys(client, table, owned, events);
      events = measured.events;
      letters.push(...measured.letters);
    }
    const looks = table.declaration.hasId && source.lookFirst > 0;
    if (looks) source.lookFirst--;
    const { inserted, duplicates, conflicts } = looks
      ? await sortByKnownIds(client, table, events)
      : { inserted: events, duplicates: 0, conflicts: [] };
    if (duplicates + conflicts.length > 0) source.lookFirst = LOOK_FIRST;
    for (const event of conflicts) {
      letters.push(idConflict(owned.source, owned.partition, table.declaration.columns, event));
    }
    if (inserted.length > 0) await copyIn(database.api, client, table.copyIn, table.slices(inserted));
    if (letters.length > 0) await records.insertDeadLetters(client, letters);
    const news = pushes.filter((push) => !repeated.includes(push));
    if (news.length > 0) await records.insertPushes(client, owned.source, news);
    const result = joined(settled, {
      inserted,
      duplicates: duplicates + repetitions,
      conflicts: conflicts.length,
      ...erasures,
    });
    doubts.set(owned.partitionId, { ownerEpoch: owned.ownerEpoch, lastOffset, result });
    const moved = request.cursor === undefined ? "" : `, cursor = ${textLiteral(request.cursor)}`;
    await client.query(
      `UPDATE ${schema}.partitions SET committed = ${lastOffset}${moved} WHERE partition_id = ${owned.partitionId}; COMMIT`,
    );
    doubts.delete(owned.partitionId);
    return result;
  }

  /** What a commit in doubt inserted and nobody was told yet, if it took effect. */
  function settle(owned: OwnedPartition, committed: number): LogCommitResult | null {
    const doubt = doubts.get(owned.partitionId);
    if (doubt === undefined) return null;
    // Only this process could move `committed` under this epoch.
    return doubt.ownerEpoch === owned.ownerEpoch && doubt.lastOffset === committed ? doubt.result : null;
  }

  async function partitions(source: string): Promise<readonly OwnedPartition[]> {
    return database.repeatable(async (client) => {
      const result = await client.query<PartitionRow>(
        `SELECT partition_id, "partition", owner_epoch, committed, cursor FROM ${schema}.partitions
         WHERE source = $1 ORDER BY partition_id`,
        [source],
      );
      return result.rows.map((row) => ownedPartition(source, fromStoredText(row.partition), row));
    });
  }

  async function applied(viewVersion: string): Promise<readonly AppliedPosition[]> {
    return database.repeatable(async (client) => {
      const result = await client.query<{ partition_id: number; offset: string }>(
        `SELECT partition_id, "offset" FROM ${schema}.applied WHERE view_version = $1`,
        [viewVersion],
      );
      return result.rows.map((row) => ({ viewVersion, partitionId: row.partition_id, offset: Number(row.offset) }));
    });
  }

  async function setApplied(positions: readonly AppliedPosition[]): Promise<void> {
    database.checkOpen();
    const farthest = new Map<string, AppliedPosition>();
    for (const position of positions) {
      const key = `${position.partitionId}:${position.viewVersion}`;
      if ((farthest.get(key)?.offset ?? Number.NEGATIVE_INFINITY) < position.offset) farthest.set(key, position);
    }
    // In one order, so that processes do not wait for each other in a circle.
    const ordered = [...farthest].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, position]) => position);
    if (ordered.length === 0) return;
    await database.repeatable((client) =>
      client.query(
        `INSERT INTO ${schema}.applied AS a SELECT * FROM unnest($1::text[], $2::integer[], $3::bigint[])
         ON CONFLICT (view_version, partition_id) DO UPDATE SET "offset" = excluded."offset"
         WHERE a."offset" < excluded."offset"`,
        [
          ordered.map((position) => position.viewVersion),
          ordered.map((position) => position.partitionId),
          ordered.map((position) => position.offset),
        ],
      ),
    );
  }

  return { own, commit, partitions, applied, setApplied };
}

/** Whether it lies in one of the pushes. */
function within(pushes: readonly AcceptedPush[], { offset }: { readonly offset: number }): boolean {
  return pushes.some(({ firstOffset, lastOffset }) => offset >= firstOffset && offset <= lastOffset);
}

function ownedPartition(source: string, partition: string, row: Omit<PartitionRow, "partition">): OwnedPartition {
  return {
    source,
    partition,
    partitionId: row.partition_id,
    ownerEpoch: Number(row.owner_epoch),
    committed: Number(row.committed),
    cursor: row.cursor === null ? null : fromStoredText(row.cursor),
  };
}

function joined(first: LogCommitResult | null, second: LogCommitResult): LogCommitResult {
  if (first === null) return second;
  return {
    ...second,
    inserted: [...first.inserted, ...second.inserted],
    duplicates: first.duplicates + second.duplicates,
    conflicts: first.conflicts + second.conflicts,
  };
}
