import type { DuckDBValue } from "@duckdb/node-api";
import type { DuckdbDatabase } from "./duckdb-database.ts";
import type { DuckdbErasure } from "./duckdb-erasure.ts";
import { timestampLiteral, VECTOR_ROWS } from "./duckdb-event-table.ts";
import type { OfflineStore } from "./offline-store.ts";

/** The prediction log. */
export type DuckdbPredictions = Pick<OfflineStore, "appendPredictions" | "predictions" | "removePredictions">;

export async function duckdbPredictions(database: DuckdbDatabase, erasure: DuckdbErasure): Promise<DuckdbPredictions> {
  const { api } = database;
  let last = 0;

  await database.write(async (connection) => {
    const result = await connection.runAndReadAll("SELECT coalesce(max(id), 0) FROM predictions");
    last = Number(result.getRows()[0]![0]);
  });

  return {
    async appendPredictions(records) {
      database.checkOpen();
      if (records.length === 0) return;
      await database.transaction(async (connection) => {
        const kept = erasure.filter.predictions(records);
        const { BIGINT, LIST, TIMESTAMP_MS, VARCHAR } = api;
        const appender = await connection.createAppender("predictions");
        for (let start = 0; start < kept.length; start += VECTOR_ROWS) {
          const page = kept.slice(start, start + VECTOR_ROWS);
          const chunk = api.DuckDBDataChunk.create(
            [BIGINT, VARCHAR, TIMESTAMP_MS, LIST(VARCHAR), VARCHAR],
            page.length,
          );
          chunk.setRows(
            page.map(({ model, at, keys, json }) => [
              BigInt(++last),
              model,
              new api.DuckDBTimestampMillisecondsValue(BigInt(at)),
              api.listValue([...keys]),
              json,
            ]),
          );
          appender.appendDataChunk(chunk);
        }
        appender.closeSync();
      });
    },
    async predictions({ model, from, beforeId, afterId, limit }) {
      const conditions = ["true"];
      if (model !== undefined) conditions.push("model = ?");
      if (from !== undefined) conditions.push(`"at" >= ${timestampLiteral(from)}`);
      if (beforeId !== undefined) conditions.push(`id < ${BigInt(beforeId)}`);
      if (afterId !== undefined) conditions.push(`id > ${BigInt(afterId)}`);
      const found = await database.write((connection) =>
        connection.runAndReadAll(
          `SELECT id, model, "at", keys, json FROM predictions WHERE ${conditions.join(" AND ")}
           ORDER BY id DESC LIMIT ${Math.max(0, Math.floor(limit))}`,
          model === undefined ? [] : [model],
        ),
      );
      return found.getRows().map(([id, name, at, keys, json]: DuckDBValue[]) => ({
        id: Number(id),
        model: name as string,
        at: Number((at as { readonly millis: bigint }).millis),
        keys: (keys as { readonly items: readonly string[] }).items.slice(),
        json: json as string,
      }));
    },
    async removePredictions(before) {
      const removed = await database.write((connection) =>
        connection.runAndReadAll(`DELETE FROM predictions WHERE "at" < ${timestampLiteral(before)} RETURNING id`),
      );
      return removed.currentRowCount;
    },
  };
}
