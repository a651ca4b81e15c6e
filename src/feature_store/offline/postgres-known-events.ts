import type { PoolClient } from "pg";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import type { PostgresEventTable } from "./postgres-event-table.ts";
import { toStoredText } from "./postgres-text.ts";
import { timeLiteral, timeText } from "./postgres-time.ts";

export interface SortedEvents {
  readonly inserted: readonly LoggedEvent[];
  readonly duplicates: number;
  /** Known id and event time, another payload. */
  readonly conflicts: readonly LoggedEvent[];
}

/** Ids per lookup. */
const LOOKUP = 5_000;

/** Tells new events from stored ones by id and event time, also within the batch, where the first one stays. */
export async function sortByKnownIds(
  client: PoolClient,
  table: PostgresEventTable,
  events: readonly LoggedEvent[],
): Promise<SortedEvents> {
  const known = await storedHashes(client, table, events);
  const inserted: LoggedEvent[] = [];
  const conflicts: LoggedEvent[] = [];
  for (const event of events) {
    if (event.id === null) {
      inserted.push(event);
      continue;
    }
    const id = idText(event.id, event.eventTime);
    const payload = known.get(id);
    if (payload === undefined) {
      inserted.push(event);
      known.set(id, hashText(event));
    } else if (payload !== hashText(event)) {
      conflicts.push(event);
    }
  }
  return { inserted, duplicates: events.length - inserted.length - conflicts.length, conflicts };
}

/** The payload hashes of those that are stored, by id and time. */
async function storedHashes(
  client: PoolClient,
  { name }: PostgresEventTable,
  events: readonly LoggedEvent[],
): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const withId = events.filter((event) => event.id !== null);
  for (let start = 0; start < withId.length; start += LOOKUP) {
    const page = withId.slice(start, start + LOOKUP);
    const times = page.map(({ eventTime }) => eventTime);
    // The bounds let the planner leave most tables out.
    const from = times.reduce((a, b) => Math.min(a, b));
    const to = times.reduce((a, b) => Math.max(a, b));
    const result = await client.query<{ n: number; hash: string }>(
      `SELECT w.n::integer AS n, e._payload_hash AS hash
       FROM unnest($1::text[], $2::timestamptz[]) WITH ORDINALITY AS w (id, at, n)
       JOIN ${name} e ON e._event_time = w.at AND e._event_id = w.id COLLATE "C"
       WHERE e._event_time BETWEEN ${timeLiteral(from)} AND ${timeLiteral(to)}`,
      [page.map(({ id }) => toStoredText(id!.toWellFormed())), times.map(timeText)],
    );
    for (const { n, hash } of result.rows) {
      const { id, eventTime } = page[n - 1]!;
      found.set(idText(id!, eventTime), hash.replaceAll("-", ""));
    }
  }
  return found;
}

/** As stored: PostgreSQL keeps no lone surrogates. */
function idText(id: string, eventTime: number): string {
  return `${eventTime}:${id.toWellFormed()}`;
}

/** The payload hash as a uuid's digits. */
function hashText({ hash0, hash1, hash2, hash3 }: LoggedEvent): string {
  return [hash0, hash1, hash2, hash3].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
