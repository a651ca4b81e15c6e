import type { DuckDBConnection, DuckDBDataChunk } from "@duckdb/node-api";
import type { Value } from "../../definitions/value.ts";
import { compareEventOrder } from "../../feature_engineering/aggregations/event-order.ts";
import {
  doubleWords,
  duckdbColumn,
  float64s,
  getWide,
  int32s,
  isValid,
  quadWords,
  readableNulls,
} from "./duckdb-column.ts";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import { quoted, timestampLiteral, VECTOR_ROWS } from "./duckdb-event-table.ts";
import type { DuckdbSource, DuckdbSources } from "./duckdb-sources.ts";
import { createLatestSlots, noVersion } from "./latest-slots.ts";
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

export interface DuckdbPointInTimeOptions {
  /** How many events a share holds, at most, if each entity has fewer. Default 4 million. */
  readonly shareEvents?: number;
  /** How many events of equal time and version are set aside before all are read with their whole order. */
  readonly maxTies?: number;
}

/** DuckDB scans and joins on its own threads; this thread takes the chunks as typed arrays. */
export function duckdbPointInTime(
  database: DuckdbDatabase,
  sources: DuckdbSources,
  options: DuckdbPointInTimeOptions = {},
): PointInTimeReader {
  const { api } = database;

  async function* chunks(connection: DuckDBConnection, sql: string): AsyncGenerator<DuckDBDataChunk> {
    const result = await database.step(() => connection.stream(sql));
    while (true) {
      const chunk = await database.step(() => result.fetchChunk());
      if (chunk === null || chunk.rowCount === 0) return;
      yield chunk;
    }
  }

  /** A connection with the entities in a table of its own and one snapshot for all that it reads. */
  async function begin(source: DuckdbSource, query: LabelQuery): Promise<DuckDBConnection> {
    const connection = await database.connect();
    await database.step(() => connection.run("SET streaming_buffer_size = '16MB'"));
    const { declaration, columnTypes } = source.table;
    const names = query.keyColumns;
    const columns = names.map((name) => duckdbColumn(api, declaration.columns.find((c) => c.name === name)!.type));
    const time = duckdbColumn(api, { kind: "timestamp", nullable: true });
    const entity = duckdbColumn(api, { kind: "int32", nullable: false });
    const ddl = names.map((name, index) => `k${index} ${columnTypes.get(name)}, `).join("");
    await database.step(() =>
      connection.run(`CREATE TEMP TABLE labelled (${ddl}entity INTEGER, first TIMESTAMP_MS, last TIMESTAMP_MS)`),
    );
    const types = [...columns, entity, time, time];
    await append(connection, "labelled", types, query.keys.length, (index, from, count) => {
      const of = (read: (entity: number) => Value): Value[] => Array.from({ length: count }, (_, i) => read(from + i));
      if (index < names.length) return of((e) => query.keys[e]![index]!);
      if (index === names.length) return of((e) => e);
      if (index === names.length + 2) return of((e) => query.times[query.starts[e + 1]! - 1]!);
      return of((e) => bounded(query.times[query.starts[e]!]! - query.reachMs));
    });
    await database.step(() => connection.run("BEGIN"));
    return connection;
  }

  async function append(
    connection: DuckDBConnection,
    table: string,
    columns: readonly ReturnType<typeof duckdbColumn>[],
    rows: number,
    valuesOf: (column: number, from: number, count: number) => readonly Value[],
  ): Promise<void> {
    const appender = await database.step(() => connection.createAppender(table, "main", "temp"));
    for (let from = 0; from < rows; from += VECTOR_ROWS) {
      const count = Math.min(VECTOR_ROWS, rows - from);
      const chunk = api.DuckDBDataChunk.create(
        columns.map((column) => column.type),
        count,
      );
      columns.forEach((column, index) => {
        column.write(chunk.getColumnVector(index), valuesOf(index, from, count), count);
      });
      appender.appendDataChunk(chunk);
    }
    appender.closeSync();
  }

  /** Which events may count: all labels' bounds as constants, so that row groups are skipped, then each entity's own. */
  function candidates({ table }: DuckdbSource, query: LabelQuery): string {
    const { keyColumns, times, reachMs } = query;
    let first = Number.POSITIVE_INFINITY;
    let last = Number.NEGATIVE_INFINITY;
    for (const time of times) {
      if (time < first) first = time;
      if (time > last) last = time;
    }
    const conditions = keyColumns.map((name, index) => `e.${quoted(name)} = w.k${index}`);
    conditions.push("e._event_time < w.last", `e._event_time < ${timestampLiteral(last)}`);
    if (reachMs !== Number.POSITIVE_INFINITY) {
      conditions.push("e._event_time >= w.first", `e._event_time >= ${timestampLiteral(first - reachMs)}`);
    }
    return `FROM ${table.name} e JOIN labelled w ON ${conditions.join(" AND ")}`;
  }

  /** Reads columns of the rows with these ids, in the order of the ids. */
  async function fetchRows<Row>(
    connection: DuckDBConnection,
    { table }: DuckdbSource,
    rows: Float64Array,
    selection: readonly string[],
    take: (chunk: DuckDBDataChunk, indexOf: (row: number) => number) => Row,
  ): Promise<void> {
    const wide = duckdbColumn(api, { kind: "timestamp", nullable: false });
    const id = { ...wide, type: api.BIGINT };
    const index = duckdbColumn(api, { kind: "int32", nullable: false });
    await database.step(() => connection.run("CREATE OR REPLACE TEMP TABLE wanted_rows (id BIGINT, place INTEGER)"));
    await append(connection, "wanted_rows", [id, index], rows.length, (column, from, count) =>
      Array.from({ length: count }, (_, i) => (column === 0 ? rows[from + i]! : from + i)),
    );
    const names = ["w.place", ...selection.map((name) => `e.${quoted(name)}`)].join(", ");
    const sql = `SELECT ${names} FROM ${table.name} e JOIN wanted_rows w ON e.rowid = w.id`;
    for await (const chunk of chunks(connection, sql)) {
      const places = int32Items(chunk, 0);
      take(chunk, (row) => places[row]!);
    }
  }

  /** Compares the rows that tie by the rest of their order. */
  async function tieBreaker(
    connection: DuckDBConnection,
    source: DuckdbSource,
    pairs: Float64Array,
  ): Promise<(a: number, b: number) => boolean> {
    if (pairs.length === 0) return () => false;
    const rows = Float64Array.from(new Set(pairs));
    const placeOf = new Map(Array.from(rows, (row, place) => [row, place]));
    const arrivals = new Float64Array(rows.length);
    const hashes = new Uint32Array(rows.length * 4);
    await fetchRows(connection, source, rows, ["_ingested_at", "_payload_hash"], (chunk, indexOf) => {
      readOrder(chunk, 1, arrivals, hashes, indexOf);
    });
    const orderOf = (row: number): Parameters<typeof compareEventOrder>[0] => {
      const place = placeOf.get(row)!;
      const word = (index: number): number => hashes[place * 4 + index]!;
      return {
        eventTime: 0,
        version: null,
        ingestedAt: arrivals[place]!,
        hash0: word(0),
        hash1: word(1),
        hash2: word(2),
        hash3: word(3),
      };
    };
    return (a, b) => compareEventOrder(orderOf(a), orderOf(b)) > 0;
  }

  async function latest(query: LabelQuery): Promise<LatestEvents> {
    const source = sources.get(query.source);
    const typeOf = new Map(source.table.declaration.columns.map((column) => [column.name, column.type]));
    const connection = await begin(source, query);
    try {
      const slots = createLatestSlots(query, options.maxTies);
      const version = query.version === "none" ? [] : [versionColumn(query)];
      const selection = ["w.entity", "e._event_time", "e.rowid", ...version.map((name) => `e.${name}`)].join(", ");
      for await (const chunk of chunks(connection, `SELECT ${selection} ${candidates(source, query)}`)) {
        const entities = int32Items(chunk, 0);
        const times = doubleWords(chunk.getColumnVector(1));
        const rows = doubleWords(chunk.getColumnVector(2));
        const count = chunk.rowCount;
        if (query.version === "none") {
          for (let i = 0; i < count; i++) slots.add(entities[i]!, getWide(times, i), noVersion, getWide(rows, i));
        } else {
          const versions = readVersions(chunk, 3, query);
          for (let i = 0; i < count; i++) {
            slots.add(entities[i]!, getWide(times, i), versions[i] ?? noVersion, getWide(rows, i));
          }
        }
      }
      const ties = slots.ties();
      if (ties === null) return await latestOfMany(connection, source, query);
      const best = slots.finish(await tieBreaker(connection, source, ties));
      const { events, rows } = numbered(best);
      const times = new Float64Array(rows.length);
      const columns = query.columns.map((name) => createColumn(typeOf.get(name)!, rows.length));
      await fetchRows(connection, source, rows, ["_event_time", ...query.columns], (chunk, indexOf) => {
        const words = doubleWords(chunk.getColumnVector(1));
        const { rowCount } = chunk;
        for (let i = 0; i < rowCount; i++) times[indexOf(i)] = getWide(words, i);
        readColumns(chunk, 2, source, query.columns, columns, indexOf);
      });
      return { events, times, columns };
    } finally {
      connection.closeSync();
    }
  }

  /** Where very many events tie, DuckDB orders those of each label. */
  async function latestOfMany(
    connection: DuckDBConnection,
    source: DuckdbSource,
    query: LabelQuery,
  ): Promise<LatestEvents> {
    const typeOf = new Map(source.table.declaration.columns.map((column) => [column.name, column.type]));
    const time = duckdbColumn(api, { kind: "timestamp", nullable: false });
    const int = duckdbColumn(api, { kind: "int32", nullable: false });
    await database.step(() =>
      connection.run("CREATE TEMP TABLE label_times (label INTEGER, entity INTEGER, time TIMESTAMP_MS)"),
    );
    const entityOf = new Int32Array(query.times.length);
    for (let entity = 0; entity < query.keys.length; entity++) {
      entityOf.fill(entity, query.starts[entity], query.starts[entity + 1]);
    }
    await append(connection, "label_times", [int, int, time], query.times.length, (column, from, count) =>
      Array.from({ length: count }, (_, i) =>
        column === 0 ? from + i : column === 1 ? entityOf[from + i]! : query.times[from + i]!,
      ),
    );
    const versions = query.version === "none" ? "" : `e.${versionColumn(query)} DESC NULLS LAST, `;
    const names = ["e._event_time", ...query.columns.map((name) => `e.${quoted(name)}`)].join(", ");
    const sql = `WITH candidate AS (SELECT w.entity, e.* ${candidates(source, query)}),
      one AS (SELECT DISTINCT ON (e.entity, e._event_time) e.* FROM candidate e
        ORDER BY ${versions}e._ingested_at DESC, e._payload_hash DESC)
      SELECT l.label, ${names} FROM label_times l ASOF JOIN one e ON e.entity = l.entity AND l.time > e._event_time`;
    const events = new Int32Array(query.times.length).fill(-1);
    const times = new Float64Array(query.times.length);
    const columns = query.columns.map((name) => createColumn(typeOf.get(name)!, query.times.length));
    for await (const chunk of chunks(connection, sql)) {
      const labels = int32Items(chunk, 0);
      const words = doubleWords(chunk.getColumnVector(1));
      const { rowCount } = chunk;
      for (let i = 0; i < rowCount; i++) {
        events[labels[i]!] = labels[i]!;
        times[labels[i]!] = getWide(words, i);
      }
      readColumns(chunk, 2, source, query.columns, columns, (i) => labels[i]!);
    }
    return { events, times, columns };
  }

  async function* events(query: LabelQuery & { readonly orders: boolean }): AsyncGenerator<EventShare> {
    if (query.keys.length === 0) return;
    const source = sources.get(query.source);
    const typeOf = new Map(source.table.declaration.columns.map((column) => [column.name, column.type]));
    const connection = await begin(source, query);
    try {
      const from = candidates(source, query);
      const counted = await database.step(() => connection.runAndReadAll(`SELECT count(*) ${from}`));
      const total = Number(counted.getRows()[0]![0]);
      const shares = Math.max(1, Math.ceil(total / (options.shareEvents ?? 4_000_000)));
      const version = query.orders && query.version !== "none" ? [`e.${versionColumn(query)}`] : [];
      const selection = [
        "w.entity",
        "e._event_time",
        ...query.columns.map((name) => `e.${quoted(name)}`),
        ...(query.orders ? ["e._ingested_at", "e._payload_hash"] : []),
        ...version,
      ].join(", ");
      for (let share = 0; share < shares; share++) {
        // Entities are numbered as the frame brings them: by remainder they spread evenly.
        const mine = shares === 1 ? "" : ` WHERE w.entity % ${shares} = ${share}`;
        let capacity = total;
        if (shares > 1) {
          const sized = await database.step(() => connection.runAndReadAll(`SELECT count(*) ${from}${mine}`));
          capacity = Number(sized.getRows()[0]![0]);
        }
        const entities = sharedInts(capacity);
        const times = sharedFloats(capacity);
        const columns = query.columns.map((name) => createColumn(typeOf.get(name)!, capacity));
        const arrivals = new Float64Array(query.orders ? capacity : 0);
        const hashes = new Uint32Array(query.orders ? capacity * 4 : 0);
        const versions: (number | bigint | null)[] | null = version.length === 0 ? null : new Array(capacity);
        let count = 0;
        for await (const chunk of chunks(connection, `SELECT ${selection} ${from}${mine}`)) {
          const at = count;
          const { rowCount } = chunk;
          entities.set(int32Items(chunk, 0).subarray(0, rowCount), at);
          const words = doubleWords(chunk.getColumnVector(1));
          for (let i = 0; i < rowCount; i++) times[at + i] = getWide(words, i);
          readColumns(chunk, 2, source, query.columns, columns, (i) => at + i);
          const rest = 2 + query.columns.length;
          if (query.orders) readOrder(chunk, rest, arrivals, hashes, (i) => at + i);
          if (versions !== null) {
            const read = readVersions(chunk, rest + 2, query);
            for (let i = 0; i < rowCount; i++) versions[at + i] = read[i]!;
          }
          count += rowCount;
        }
        const orders = query.orders ? { versions, ingestedAt: arrivals, hashes } : null;
        yield { count, entities, times, orders, columns };
      }
    } finally {
      connection.closeSync();
    }
  }

  function readVersions(chunk: DuckDBDataChunk, index: number, query: LabelQuery): (number | bigint | null)[] {
    const column = duckdbColumn(api, { kind: query.version === "int64" ? "int64" : "float64", nullable: true });
    const versions = new Array<number | bigint | null>(chunk.rowCount);
    column.read(chunk.getColumnVector(index), chunk.rowCount, (row, value) => {
      versions[row] = value as number | bigint | null;
    });
    return versions;
  }

  /** Writes the columns of a chunk from `first` on. */
  function readColumns(
    chunk: DuckDBDataChunk,
    first: number,
    { table }: DuckdbSource,
    names: readonly string[],
    into: readonly ColumnValues[],
    indexOf: (row: number) => number,
  ): void {
    // Asks DuckDB: not for each row.
    const { rowCount } = chunk;
    names.forEach((name, index) => {
      const type = table.declaration.columns.find((column) => column.name === name)!.type;
      const vector = chunk.getColumnVector(first + index);
      const target = into[index]!;
      if (type.kind === "float64") {
        const items = float64s(vector);
        const nulls = readableNulls(vector);
        for (let row = 0; row < rowCount; row++) {
          target[indexOf(row)] = nulls === null || isValid(nulls, row) ? items[row]! : Number.NaN;
        }
        return;
      }
      const none = isNumberColumn(type) ? Number.NaN : null;
      duckdbColumn(api, type).read(vector, rowCount, (row, value) => {
        target[indexOf(row)] = value === null ? (none as number) : (value as number);
      });
    });
  }

  // One reading's SQL runs while another's rows are taken.
  return { readings: 2, latest, events };
}

/** Rows without repetition, and which of them each label has. Labels that share a row follow each other. */
function numbered(best: Float64Array): { readonly events: Int32Array; readonly rows: Float64Array } {
  const events = new Int32Array(best.length);
  const rows = new Float64Array(best.length);
  let count = 0;
  for (let label = 0; label < best.length; label++) {
    const row = best[label]!;
    if (row < 0) {
      events[label] = -1;
      continue;
    }
    if (count === 0 || rows[count - 1] !== row) rows[count++] = row;
    events[label] = count - 1;
  }
  return { events, rows: rows.subarray(0, count) };
}

function versionColumn({ version }: LabelQuery): string {
  return version === "int64" ? "_version_int64" : "_version";
}

/** The arrival and the payload hash, in two columns from `first` on. */
function readOrder(
  chunk: DuckDBDataChunk,
  first: number,
  arrivals: Float64Array,
  hashes: Uint32Array,
  indexOf: (row: number) => number,
): void {
  const times = doubleWords(chunk.getColumnVector(first));
  const words = quadWords(chunk.getColumnVector(first + 1));
  const { rowCount } = chunk;
  for (let row = 0; row < rowCount; row++) {
    const at = indexOf(row);
    arrivals[at] = getWide(times, row);
    for (let word = 0; word < 4; word++) hashes[at * 4 + word] = words[row * 4 + 3 - word]!;
  }
}

function int32Items(chunk: DuckDBDataChunk, index: number): Int32Array {
  return int32s(chunk.getColumnVector(index));
}

/** Within what a timestamp may be: an entity without a bound has the smallest. */
function bounded(time: number): number {
  return Math.max(-9.2e15, time);
}
