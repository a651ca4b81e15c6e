import type { DuckDBConnection } from "@duckdb/node-api";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { doubleWords, duckdbColumn, quadWords } from "./duckdb-column.ts";
import type { DuckdbApi } from "./duckdb-database.ts";
import { eventIdHash, hashEventId, timestampLiteral } from "./duckdb-event-table.ts";
import type { DuckdbSource } from "./duckdb-sources.ts";
import { knownEventIds, LARGEST_CAPACITY } from "./known-event-ids.ts";

export interface SortedEvents {
  readonly inserted: readonly LoggedEvent[];
  readonly duplicates: number;
  /** Known id and event time, another payload. */
  readonly conflicts: readonly LoggedEvent[];
}

/** Ids per lookup. */
const LOOKUP = 2_000;

/** Tells new events from known ones by id and event time, also within the batch, where the first one stays. */
export async function sortByKnownIds(
  api: DuckdbApi,
  connection: DuckDBConnection,
  source: DuckdbSource,
  events: readonly LoggedEvent[],
): Promise<SortedEvents> {
  const knownIds = await grown(connection, source, events.length);
  /** Those that the filter does not know to be new, by id and time, with their stored hash. */
  const doubtful = new Map<string, { readonly event: LoggedEvent; readonly hash: bigint }>();
  for (const event of events) {
    if (event.id === null) continue;
    hashEventId(event.id, event.eventTime);
    const low = eventIdHash[0]!;
    const high = eventIdHash[1]!;
    if (!knownIds.add(low, high)) continue;
    const hash = BigInt.asIntN(64, (BigInt(high) << 32n) | BigInt(low));
    doubtful.set(idText(event.id, event.eventTime), { event, hash });
  }
  if (doubtful.size === 0) return { inserted: events, duplicates: 0, conflicts: [] };
  const known = await lookup(api, connection, source, [...doubtful.values()]);
  const inserted: LoggedEvent[] = [];
  const conflicts: LoggedEvent[] = [];
  for (const event of events) {
    const id = event.id === null ? null : idText(event.id, event.eventTime);
    if (id === null || !doubtful.has(id)) {
      inserted.push(event);
      continue;
    }
    const payload = known.get(id);
    if (payload === undefined) {
      inserted.push(event);
      known.set(id, hashText(event.hash0, event.hash1, event.hash2, event.hash3));
    } else if (payload !== hashText(event.hash0, event.hash1, event.hash2, event.hash3)) {
      conflicts.push(event);
    }
  }
  return { inserted, duplicates: events.length - inserted.length - conflicts.length, conflicts };
}

/** The source's filter, with room for `more` events. */
async function grown(
  connection: DuckDBConnection,
  source: DuckdbSource,
  more: number,
): Promise<NonNullable<DuckdbSource["knownIds"]>> {
  const { knownIds, table } = source;
  const enough = knownIds !== null && knownIds.size + more <= knownIds.capacity;
  if (enough || knownIds?.capacity === LARGEST_CAPACITY) return knownIds!;
  const counted = await connection.runAndReadAll(`SELECT count(_event_id_hash) FROM ${table.name}`);
  const filter = knownEventIds(2 * (Number(counted.getRows()[0]![0]) + more));
  const hashes = await connection.stream(`SELECT _event_id_hash FROM ${table.name} WHERE _event_id_hash IS NOT NULL`);
  for (let chunk = await hashes.fetchChunk(); chunk !== null && chunk.rowCount > 0; chunk = await hashes.fetchChunk()) {
    const words = doubleWords(chunk.getColumnVector(0));
    for (let row = 0; row < chunk.rowCount; row++) filter.add(words[row * 2]! >>> 0, words[row * 2 + 1]! >>> 0);
  }
  source.knownIds = filter;
  return filter;
}

/** The payload hashes of those that are stored, by id and time. */
async function lookup(
  api: DuckdbApi,
  connection: DuckDBConnection,
  { table }: DuckdbSource,
  wanted: readonly { readonly event: LoggedEvent; readonly hash: bigint }[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const texts = duckdbColumn(api, { kind: "string", nullable: true });
  const times = duckdbColumn(api, { kind: "timestamp", nullable: false });
  for (let start = 0; start < wanted.length; start += LOOKUP) {
    const page = wanted.slice(start, start + LOOKUP);
    let from = Number.POSITIVE_INFINITY;
    let to = Number.NEGATIVE_INFINITY;
    for (const { event } of page) {
      from = Math.min(from, event.eventTime);
      to = Math.max(to, event.eventTime);
    }
    const result = await connection.run(
      `SELECT _event_id, _event_time, _payload_hash FROM ${table.name}
       WHERE _event_time BETWEEN ${timestampLiteral(from)} AND ${timestampLiteral(to)}
         AND _event_id_hash IN (${page.map(({ hash }) => hash).join(", ")})`,
    );
    for (
      let chunk = await result.fetchChunk();
      chunk !== null && chunk.rowCount > 0;
      chunk = await result.fetchChunk()
    ) {
      const ids: string[] = [];
      texts.read(chunk.getColumnVector(0), chunk.rowCount, (row, value) => {
        ids[row] = value as string;
      });
      const words = quadWords(chunk.getColumnVector(2));
      times.read(chunk.getColumnVector(1), chunk.rowCount, (row, time) => {
        const at = row * 4;
        found.set(
          idText(ids[row]!, time as number),
          hashText(words[at + 3]!, words[at + 2]!, words[at + 1]!, words[at]!),
        );
      });
    }
  }
  return found;
}

/** As stored: DuckDB keeps no lone surrogates. */
function idText(id: string, eventTime: number): string {
  return `${eventTime}:${id.toWellFormed()}`;
}

function hashText(hash0: number, hash1: number, hash2: number, hash3: number): string {
  return `${hash0}.${hash1}.${hash2}.${hash3}`;
}
