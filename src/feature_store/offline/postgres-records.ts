import type { PoolClient } from "pg";
import type { AcceptedPush, DeadLetter } from "../../feature_engineering/engine/event-log.ts";
import type { OfflineStore, StoredDeadLetter } from "./offline-store.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import { fromStoredText, toStoredText } from "./postgres-text.ts";
import { millis, timeText } from "./postgres-time.ts";

/** What the store keeps beside events: dead letters, accepted pushes, documents. */
export interface PostgresRecords
  extends Pick<OfflineStore, "seenPushes" | "deadLetters" | "removeDeadLetters" | "putDocument" | "documents"> {
  /** Within a transaction. */
  insertDeadLetters(client: PoolClient, letters: readonly DeadLetter[]): Promise<void>;
  /** Within a transaction. */
  /**
   * Of pushes that are about to be recorded, those whose key another process has recorded meanwhile. Until the
   * transaction ends, no other one records pushes of the source.
   */
  knownPushes(client: PoolClient, source: string, pushes: readonly AcceptedPush[]): Promise<readonly AcceptedPush[]>;
  insertPushes(client: PoolClient, source: string, pushes: readonly AcceptedPush[]): Promise<void>;
}

interface LetterRow {
  readonly id: string;
  readonly source: string;
  readonly partition: string;
  readonly offset: string;
  readonly code: string;
  readonly reason: string;
  readonly bytes: Buffer;
  readonly at: number;
}

interface PushRow {
  readonly idempotency_key: string;
  readonly partition: string;
  readonly first_offset: string;
  readonly last_offset: string;
  readonly accepted: string;
  readonly rejected: string;
  readonly at: number;
}

/** Pushes that nobody asks for any more are removed this often, milliseconds. */
const PUSH_SWEEP_MS = 600_000;

export function postgresRecords(database: PostgresDatabase): PostgresRecords {
  const { schema, schemaName } = database;
  /** Per source: the window that was asked for last, and when its past was swept. */
  const pushWindows = new Map<string, { since: number; sweptAt: number }>();

  async function rows<Row>(sql: string, values: unknown[]): Promise<Row[]> {
    const result = await database.repeatable((client) => client.query(sql, values));
    return result.rows as Row[];
  }

  return {
    async insertDeadLetters(client, letters) {
      await client.query(
        `INSERT INTO ${schema}.dead_letters (source, "partition", "offset", code, reason, bytes, "at")
         SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[])`,
        [
          letters.map((letter) => letter.source),
          letters.map((letter) => storedText(letter.partition)),
          letters.map((letter) => letter.offset),
          letters.map((letter) => letter.code),
          letters.map((letter) => storedText(letter.reason)),
          letters.map(({ bytes }) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)),
          letters.map((letter) => timeText(letter.at)),
        ],
      );
    },
    async knownPushes(client, source, pushes) {
      const window = pushWindows.get(source);
      // Nobody asked for a key: then none is waited for.
      if (window === undefined) return [];
      await client.query("SELECT pg_advisory_xact_lock(hashtextextended($1, 6))", [`${schemaName}.${source}`]);
      const found = await client.query<{ idempotency_key: string }>(
        `SELECT idempotency_key FROM ${schema}.pushes
         WHERE source = $1 AND "at" >= $2 AND idempotency_key = ANY ($3::text[])`,
        [source, timeText(window.since), pushes.map((push) => storedText(push.idempotencyKey))],
      );
      if (found.rowCount === 0) return [];
      const known = new Set(found.rows.map((row) => row.idempotency_key));
      return pushes.filter((push) => known.has(storedText(push.idempotencyKey)));
    },
    async insertPushes(client, source, pushes) {
      await client.query(
        `INSERT INTO ${schema}.pushes
           (source, idempotency_key, "partition", first_offset, last_offset, accepted, rejected, "at")
         SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::timestamptz[])`,
        [
          source,
          pushes.map((push) => storedText(push.idempotencyKey)),
          pushes.map((push) => storedText(push.partition)),
          pushes.map((push) => push.firstOffset),
          pushes.map((push) => push.lastOffset),
          pushes.map((push) => push.accepted),
          pushes.map((push) => storedText(JSON.stringify(push.rejected))),
          pushes.map((push) => timeText(push.at)),
        ],
      );
      const window = pushWindows.get(source);
      if (window !== undefined && window.sweptAt < window.since - PUSH_SWEEP_MS) {
        await client.query(`DELETE FROM ${schema}.pushes WHERE source = $1 AND "at" < $2`, [
          source,
          timeText(window.since),
        ]);
        window.sweptAt = window.since;
      }
    },
    async seenPushes(source, keys, since) {
      database.checkOpen();
      pushWindows.set(source, { since, sweptAt: pushWindows.get(source)?.sweptAt ?? 0 });
      if (keys.length === 0) return [];
      const found = await rows<PushRow>(
        `SELECT idempotency_key, "partition", first_offset, last_offset, accepted, rejected, ${millis('"at"')} AS "at"
         FROM ${schema}.pushes WHERE source = $1 AND "at" >= $2 AND idempotency_key = ANY ($3::text[])
         ORDER BY pushes."at" DESC, id DESC`,
        [source, timeText(since), keys.map(storedText)],
      );
      // The first one under a key comes last, and stays.
      const byKey = new Map(found.map((row) => [row.idempotency_key, acceptedPush(row)]));
      return keys.map((key) => byKey.get(storedText(key)) ?? null);
    },
    async deadLetters({ source, limit }) {
      const found = await rows<LetterRow>(
        `SELECT id, source, "partition", "offset", code, reason, bytes, ${millis('"at"')} AS "at"
         FROM ${schema}.dead_letters ${source === undefined ? "" : "WHERE source = $2"} ORDER BY id DESC LIMIT $1`,
        [Math.max(0, Math.floor(limit)), ...(source === undefined ? [] : [source])],
      );
      return found.map(storedDeadLetter);
    },
    async removeDeadLetters(ids) {
      if (ids.length === 0) return;
      await rows(`DELETE FROM ${schema}.dead_letters WHERE id = ANY ($1::bigint[])`, [[...ids]]);
    },
    async putDocument(kind, name, json) {
      await rows(
        `INSERT INTO ${schema}.documents (kind, name, json, put_at, sequence)
         VALUES ($1, $2, $3, $4, nextval('${schema}.document_sequence'))
         ON CONFLICT (kind, name) DO UPDATE
         SET json = excluded.json, put_at = excluded.put_at, sequence = excluded.sequence`,
        [kind, storedText(name), storedText(json), timeText(Date.now())],
      );
    },
    async documents(kind) {
      const found = await rows<{ name: string; json: string; put_at: number }>(
        `SELECT name, json, ${millis("put_at")} AS put_at FROM ${schema}.documents WHERE kind = $1 ORDER BY sequence`,
        [kind],
      );
      return found.map((row) => ({
        name: fromStoredText(row.name),
        json: fromStoredText(row.json),
        putAt: row.put_at,
      }));
    },
  };
}

function storedText(text: string): string {
  return toStoredText(text.toWellFormed());
}

function acceptedPush(row: PushRow): AcceptedPush {
  return {
    idempotencyKey: fromStoredText(row.idempotency_key),
    partition: fromStoredText(row.partition),
    firstOffset: Number(row.first_offset),
    lastOffset: Number(row.last_offset),
    accepted: Number(row.accepted),
    rejected: JSON.parse(fromStoredText(row.rejected)) as AcceptedPush["rejected"],
    at: row.at,
  };
}

function storedDeadLetter(row: LetterRow): StoredDeadLetter {
  return {
    id: Number(row.id),
    source: row.source,
    partition: fromStoredText(row.partition),
    offset: Number(row.offset),
    code: row.code,
    reason: fromStoredText(row.reason),
    bytes: Uint8Array.from(row.bytes),
    at: row.at,
  };
}
