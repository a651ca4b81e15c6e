import type { PoolClient } from "pg";
import type { Value } from "../../definitions/value.ts";
import {
  type ColumnValues,
  createColumn,
  type EventShare,
  isNumberColumn,
  type LabelQuery,
  type LatestEvents,
  type PointInTimeReader,
  sharedFloats,
  sharedInts,
} from "./point-in-time.ts";
import { float64Column, int32Column, int64Column, type PostgresColumn, timeColumn } from "./postgres-column.ts";
import { copyIn, copySlices } from "./postgres-copy.ts";
import { copyFields, type TakeField } from "./postgres-copy-fields.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresEventTable } from "./postgres-event-table.ts";
import { addKeyIndexes } from "./postgres-key-indexes.ts";
import type { PostgresRetention } from "./postgres-retention.ts";
import type { PostgresSources } from "./postgres-sources.ts";
import { quoted } from "./postgres-text.ts";
import { timeLiteral } from "./postgres-time.ts";

export interface PostgresPointInTimeOptions {
  /** How many events a share holds, at most, if each entity has fewer. Default 4 million. */
  readonly shareEvents?: number;
  /** How many connections read at once. Default 2. */
  readonly connections?: number;
}

/**
 * Each label's latest event is looked up in an index on the key and time, which is made at the first such reading, beside
 * writers; the labels are spread over connections. Events of windows are joined by the server and come as binary COPY.
 */
export function postgresPointInTime(
  database: PostgresDatabase,
  sources: PostgresSources,
  retention: PostgresRetention,
  options: PostgresPointInTimeOptions = {},
): PointInTimeReader {
  const connections = options.connections ?? 2;
  /** Indexes that this process knows to be there. */
  const indexed = new Map<string, Promise<void>>();

  async function reading<Result>(job: (client: PoolClient) => Promise<Result>): Promise<Result> {
    const { client, release } = await database.reader();
    let isIdle = false;
    try {
      await client.query("BEGIN; SET LOCAL statement_timeout = 0");
      const result = await job(client);
      await client.query("COMMIT");
      isIdle = true;
      return result;
    } catch (cause) {
      database.checkOpen();
      throw database.error(cause);
    } finally {
      release(isIdle);
    }
  }

  /** The entities [from, to) of the query with their bounds, and their labels if asked, as tables of the transaction. */
  async function keepLabels(
    client: PoolClient,
    table: PostgresEventTable,
    query: LabelQuery,
    from: number,
    to: number,
    each: "entity" | "label",
  ): Promise<void> {
    const keys = query.keyColumns.map((name) => table.columns.get(name)!);
    // Nothing can be dropped from here to the end of the transaction.
    await client.query(`LOCK TABLE ${table.name} IN ACCESS SHARE MODE`);
    await retention.check(client, {
      source: query.source,
      keyColumns: query.keyColumns,
      keys: null,
      from: query.reachMs === Number.POSITIVE_INFINITY ? null : earliest(query.times) - query.reachMs,
      before: null,
      knowledge: "event_time",
    });
    const fields = [
      { column: int32Column, value: (row: readonly Value[]) => row[0]! },
      { column: timeColumn, value: (row: readonly Value[]) => row[1]! },
      { column: timeColumn, value: (row: readonly Value[]) => row[2]! },
      ...keys.map((column, index) => ({ column, value: (row: readonly Value[]) => row[3 + index]! })),
    ];
    const rows: Value[][] = [];
    for (let entity = from; entity < to; entity++) {
      const first = query.starts[entity]!;
      const end = query.starts[entity + 1]!;
      const key = query.keys[entity]!;
      const before = (time: number): number => Math.max(-8.64e15, Math.floor(time - query.reachMs));
      if (each === "entity") rows.push([entity, before(query.times[first]!), query.times[end - 1]!, ...key]);
      else for (let i = first; i < end; i++) rows.push([i, before(query.times[i]!), query.times[i]!, ...key]);
    }
    const ddl = keys.map((column, index) => `, k${index} ${column.sql}`).join("");
    await client.query(
      `CREATE TEMP TABLE labelled (id integer, first timestamptz, last timestamptz${ddl}) ON COMMIT DROP`,
    );
    await copyIn(database.api, client, "COPY labelled FROM STDIN (FORMAT binary)", copySlices(fields, rows));
    await client.query("ANALYZE labelled");
  }

  function bounds({ times, reachMs }: LabelQuery): string {
    let first = Number.POSITIVE_INFINITY;
    let last = Number.NEGATIVE_INFINITY;
    for (const time of times) {
      if (time < first) first = time;
      if (time > last) last = time;
    }
    const before = `e._event_time < ${timeLiteral(last)}`;
    return reachMs === Number.POSITIVE_INFINITY
      ? before
      : `${before} AND e._event_time >= ${timeLiteral(first - reachMs)}`;
  }

  function joined({ keyColumns, reachMs }: LabelQuery): string {
    const conditions = keyColumns.map((name, index) => `e.${quoted(name)} = w.k${index}`);
    conditions.push("e._event_time < w.last");
    if (reachMs !== Number.POSITIVE_INFINITY) conditions.push("e._event_time >= w.first");
    return conditions.join(" AND ");
  }

  /** The index of the key; a source that was prepared with the view's key has it. */
  function ensureIndex(table: PostgresEventTable, keyColumns: readonly string[]): Promise<void> {
    const id = `${table.tableName}:${keyColumns.join()}`;
    const known = indexed.get(id);
    if (known !== undefined) return known;
    const made = database.use((client) => addKeyIndexes(client, database, table, [keyColumns]));
    indexed.set(id, made);
    made.catch(() => indexed.delete(id));
    return made;
  }

  async function latest(query: LabelQuery): Promise<LatestEvents> {
    const { table } = await sources.get(query.source);
    await ensureIndex(table, query.keyColumns).catch((cause: unknown) => {
      throw database.error(cause);
    });
    const count = query.times.length;
    const events = new Int32Array(count).fill(-1);
    const times = new Float64Array(count);
    const columns = query.columns.map((name) => createColumn(typeOf(table, name), count));
    const version = query.version === "none" ? "" : `e.${versionColumn(query)} DESC NULLS LAST, `;
    const names = ["e._event_time", ...query.columns.map((name) => `e.${quoted(name)}`)].join(", ");
    const selected = ["w.id", "o._event_time", ...query.columns.map((name) => `o.${quoted(name)}`)].join(", ");
    const select = `SELECT ${selected} FROM labelled w CROSS JOIN LATERAL (SELECT ${names} FROM ${table.name} e
      WHERE ${joined(query)} AND ${bounds(query)}
      ORDER BY e._event_time DESC, ${version}e._ingested_at DESC, e._payload_hash DESC LIMIT 1) o`;
    const pieces = cut(query, connections);
    await Promise.all(
      pieces.map(([from, to]) =>
        reading(async (client) => {
          await keepLabels(client, table, query, from, to, "label");
          // The index is right for each label, whatever is estimated; the rest of the order sorts equal times only.
          await client.query(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off; SET LOCAL jit = off",
          );
          let label = 0;
          const takes: TakeField[] = [
            (_bytes, view, at) => {
              label = view.getInt32(at);
              events[label] = label;
            },
            (_bytes, view, at) => {
              times[label] = timeColumn.read(_bytes, view, at, 8) as number;
            },
            ...query.columns.map((name, index) => into(table, name, columns[index]!, () => label)),
          ];
          await copyFields(database.api, client, select, takes);
        }),
      ),
    );
    return { events, times, columns };
  }

  async function* events(query: LabelQuery & { readonly orders: boolean }): AsyncGenerator<EventShare> {
    if (query.keys.length === 0) return;
    const { table } = await sources.get(query.source);
    const limit = options.shareEvents ?? 4_000_000;
    const from = `FROM ${table.name} e JOIN labelled w ON ${joined(query)} WHERE ${bounds(query)}`;
    const sizes = await reading(async (client) => {
      await keepLabels(client, table, query, 0, query.keys.length, "entity");
      const counts = new Float64Array(query.keys.length);
      let entity = 0;
      await copyFields(database.api, client, `SELECT w.id, count(*) ${from} GROUP BY w.id`, [
        (_bytes, view, at) => {
          entity = view.getInt32(at);
        },
        (_bytes, view, at) => {
          counts[entity] = Number(view.getBigInt64(at));
        },
      ]);
      return counts;
    });
    for (let first = 0; first < query.keys.length; ) {
      let end = first;
      let capacity = 0;
      do capacity += sizes[end++]!;
      while (end < query.keys.length && capacity + sizes[end]! <= limit);
      if (capacity > 0) yield await share(table, query, from, first, end, capacity);
      first = end;
    }
  }

  async function share(
    table: PostgresEventTable,
    query: LabelQuery & { readonly orders: boolean },
    from: string,
    first: number,
    end: number,
    expected: number,
  ): Promise<EventShare> {
    // Events that arrived since they were counted make it grow.
    let capacity = Math.ceil(expected * 1.05) + 1_000;
    let entities = sharedInts(capacity);
    let times = sharedFloats(capacity);
    const columns = query.columns.map((name) => createColumn(typeOf(table, name), capacity));
    let arrivals = new Float64Array(query.orders ? capacity : 0);
    let hashes = new Uint32Array(query.orders ? capacity * 4 : 0);
    const versioned = query.orders && query.version !== "none";
    const versions: (number | bigint | null)[] = [];
    let count = 0;
    const grow = (): void => {
      capacity *= 2;
      entities = grown(entities, sharedInts(capacity));
      times = grown(times, sharedFloats(capacity));
      if (query.orders) {
        arrivals = grown(arrivals, new Float64Array(capacity));
        hashes = grown(hashes, new Uint32Array(capacity * 4));
      }
      for (let i = 0; i < columns.length; i++) {
        const column = columns[i]!;
        if (column instanceof Float64Array) columns[i] = grown(column, sharedFloats(capacity).fill(Number.NaN));
        else column.length = capacity;
      }
    };
    const selected = [
      "w.id",
      "e._event_time",
      ...query.columns.map((name) => `e.${quoted(name)}`),
      ...(query.orders ? ["e._ingested_at", "e._payload_hash"] : []),
      ...(versioned ? [`e.${versionColumn(query)}`] : []),
    ].join(", ");
    const versionType: PostgresColumn = query.version === "int64" ? int64Column : float64Column;
    const takes: TakeField[] = [
      (_bytes, view, at) => {
        entities[count] = view.getInt32(at);
      },
      (bytes, view, at) => {
        times[count] = timeColumn.read(bytes, view, at, 8) as number;
      },
      ...query.columns.map((name, index) =>
        into(
          table,
          name,
          () => columns[index]!,
          () => count,
        ),
      ),
      ...(query.orders
        ? [
            ((bytes, view, at) => {
              arrivals[count] = timeColumn.read(bytes, view, at, 8) as number;
            }) satisfies TakeField,
            ((_bytes, view, at) => {
              for (let word = 0; word < 4; word++) hashes[count * 4 + word] = view.getUint32(at + 4 * word);
            }) satisfies TakeField,
          ]
        : []),
      ...(versioned
        ? [
            ((bytes, view, at, length) => {
              versions[count] = length < 0 ? null : (versionType.read(bytes, view, at, length) as number | bigint);
            }) satisfies TakeField,
          ]
        : []),
    ];
    await reading(async (client) => {
      await keepLabels(client, table, query, first, end, "entity");
      await client.query("SET LOCAL jit = off");
      await copyFields(database.api, client, `SELECT ${selected} ${from}`, takes, () => {
        if (++count === capacity) grow();
      });
    });
    const orders = query.orders ? { versions: versioned ? versions : null, ingestedAt: arrivals, hashes } : null;
    return { count, entities, times, orders, columns };
  }

  return { latest, events };
}

function earliest(times: Float64Array): number {
  let first = Number.POSITIVE_INFINITY;
  for (const time of times) if (time < first) first = time;
  return first;
}

/** Runs of entities with about equally many labels. */
function cut({ starts, keys, times }: LabelQuery, pieces: number): (readonly [number, number])[] {
  const runs: (readonly [number, number])[] = [];
  let from = 0;
  for (let piece = 1; piece <= pieces && from < keys.length; piece++) {
    let to = from + 1;
    while (to < keys.length && (piece === pieces || starts[to]! < (times.length * piece) / pieces)) to++;
    runs.push([from, to]);
    from = to;
  }
  return runs;
}

function typeOf(
  { declaration }: PostgresEventTable,
  name: string,
): PostgresEventTable["declaration"]["columns"][number]["type"] {
  return declaration.columns.find((column) => column.name === name)!.type;
}

/** Writes a field into a column. */
function into(
  table: PostgresEventTable,
  name: string,
  target: ColumnValues | (() => ColumnValues),
  indexOf: () => number,
): TakeField {
  const column = table.columns.get(name)!;
  const none = isNumberColumn(typeOf(table, name)) ? Number.NaN : null;
  const current = typeof target === "function" ? target : () => target;
  return (bytes, view, at, length) => {
    current()[indexOf()] = (length < 0 ? none : column.read(bytes, view, at, length)) as number;
  };
}

function grown<Items extends Int32Array | Float64Array | Uint32Array>(from: Items, to: Items): Items {
  to.set(from);
  return to;
}

function versionColumn({ version }: LabelQuery): string {
  return version === "int64" ? "_version_int64" : "_version";
}
