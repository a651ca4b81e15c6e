import type { DuckDBConnection, DuckDBValue } from "@duckdb/node-api";
import type { AcceptedPush, DeadLetter } from "../../feature_engineering/engine/event-log.ts";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import { VECTOR_ROWS } from "./duckdb-event-table.ts";
import type { OfflineStore, StoredDeadLetter } from "./offline-store.ts";

/** What the store keeps beside events: dead letters, accepted pushes, documents. */
export interface DuckdbRecords
  extends Pick<OfflineStore, "seenPushes" | "deadLetters" | "removeDeadLetters" | "putDocument" | "documents"> {
  /** Within a transaction. */
  insertDeadLetters(connection: DuckDBConnection, letters: readonly DeadLetter[]): Promise<void>;
  /** Within a transaction. */
  insertPushes(connection: DuckDBConnection, source: string, pushes: readonly AcceptedPush[]): Promise<void>;
}

/** Pushes that nobody asks for any more are removed this often, milliseconds. */
const PUSH_SWEEP_MS = 600_000;

export function duckdbRecords(database: DuckdbDatabase): DuckdbRecords {
  const { api } = database;
  const time = (milliseconds: number): DuckDBValue => new api.DuckDBTimestampMillisecondsValue(BigInt(milliseconds));
  /** Per source: the window that was asked for last, and when its past was swept. */
  const pushWindows = new Map<string, { since: number; sweptAt: number }>();

  async function rows(sql: string, values: DuckDBValue[]): Promise<DuckDBValue[][]> {
    const result = await database.write((connection) => connection.runAndReadAll(sql, values));
    return result.getRows();
  }

  return {
    async insertDeadLetters(connection, letters) {
      if (letters.length === 0) return;
      const { BIGINT, BLOB, TIMESTAMP_MS, VARCHAR } = api;
      const counted = await connection.runAndReadAll(
        `UPDATE last_dead_letter SET id = id + ${letters.length} RETURNING id`,
      );
      let next = (counted.getRows()[0]![0] as bigint) - BigInt(letters.length);
      const types = [BIGINT, VARCHAR, VARCHAR, BIGINT, VARCHAR, VARCHAR, BLOB, TIMESTAMP_MS];
      const appender = await connection.createAppender("dead_letters");
      for (let start = 0; start < letters.length; start += VECTOR_ROWS) {
        const page = letters.slice(start, start + VECTOR_ROWS);
        const chunk = api.DuckDBDataChunk.create(types, page.length);
        chunk.setRows(
          page.map((letter) => [
            ++next,
            letter.source,
            letter.partition,
            BigInt(letter.offset),
            letter.code,
            letter.reason,
            api.blobValue(letter.bytes),
            time(letter.at),
          ]),
        );
        appender.appendDataChunk(chunk);
      }
      appender.closeSync();
    },
    async insertPushes(connection, source, pushes) {
      for (const { idempotencyKey, partition, firstOffset, lastOffset, accepted, rejected, at } of pushes) {
        await connection.run("INSERT INTO pushes VALUES (?, ?, ?, ?, ?, ?, ?, ?)", [
          source,
          idempotencyKey,
          partition,
          BigInt(firstOffset),
          BigInt(lastOffset),
          BigInt(accepted),
          JSON.stringify(rejected),
          time(at),
        ]);
      }
      const window = pushWindows.get(source);
      if (window !== undefined && window.sweptAt < window.since - PUSH_SWEEP_MS) {
        await connection.run('DELETE FROM pushes WHERE source = ? AND "at" < ?', [source, time(window.since)]);
        window.sweptAt = window.since;
      }
    },
    async seenPushes(source, keys, since) {
      pushWindows.set(source, { since, sweptAt: pushWindows.get(source)?.sweptAt ?? 0 });
      if (keys.length === 0) return [];
      const found = await rows(
        `SELECT idempotency_key, "partition", first_offset, last_offset, accepted, rejected, "at" FROM pushes
         WHERE source = ? AND "at" >= ? AND list_contains(?, idempotency_key) ORDER BY "at" DESC`,
        [source, time(since), api.listValue([...keys])],
      );
      // The first one under a key comes last, and stays.
      const byKey = new Map(found.map((row) => [row[0] as string, acceptedPush(row)]));
      return keys.map((key) => byKey.get(key) ?? null);
    },
    async deadLetters({ source, limit }) {
      const where = source === undefined ? "" : "WHERE source = ?";
      const found = await rows(
        `SELECT id, source, "partition", "offset", code, reason, bytes, "at" FROM dead_letters ${where}
         ORDER BY id DESC LIMIT ${Math.max(0, Math.floor(limit))}`,
        source === undefined ? [] : [source],
      );
      return found.map(storedDeadLetter);
    },
    async removeDeadLetters(ids) {
      if (ids.length === 0) return;
      await rows(`DELETE FROM dead_letters WHERE id IN (${ids.map((id) => BigInt(id)).join(", ")})`, []);
    },
    async putDocument(kind, name, json) {
      await database.transaction(async (connection) => {
        await connection.run("DELETE FROM documents WHERE kind = ? AND name = ?", [kind, name]);
        await connection.run("INSERT INTO documents SELECT ?, ?, ?, ?, coalesce(max(sequence), 0) + 1 FROM documents", [
          kind,
          name,
          json,
          time(Date.now()),
        ]);
      });
    },
    async documents(kind) {
      const found = await rows("SELECT name, json, put_at FROM documents WHERE kind = ? ORDER BY sequence", [kind]);
      return found.map(([name, json, putAt]) => ({ name: name as string, json: json as string, putAt: millis(putAt) }));
    },
  };
}

function acceptedPush([
  idempotencyKey,
  partition,
  firstOffset,
  lastOffset,
  accepted,
  rejected,
  at,
]: DuckDBValue[]): AcceptedPush {
  return {
    idempotencyKey: idempotencyKey as string,
    partition: partition as string,
    firstOffset: Number(firstOffset),
    lastOffset: Number(lastOffset),
    accepted: Number(accepted),
    rejected: JSON.parse(rejected as string) as AcceptedPush["rejected"],
    at: millis(at),
  };
}

function storedDeadLetter([id, source, partition, offset, code, reason, bytes, at]: DuckDBValue[]): StoredDeadLetter {
  return {
    id: Number(id),
    source: source as string,
    partition: partition as string,
    offset: Number(offset),
    code: code as string,
    reason: reason as string,
    bytes: Uint8Array.from((bytes as { readonly bytes: Uint8Array }).bytes),
    at: millis(at),
  };
}

function millis(value: DuckDBValue | undefined): number {
  return Number((value as { readonly millis: bigint }).millis);
}
