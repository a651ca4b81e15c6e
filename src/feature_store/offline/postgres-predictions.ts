import type { OfflineStore } from "./offline-store.ts";
import type { PostgresDatabase } from "./postgres-database.ts";
import type { PostgresErasure } from "./postgres-erasure.ts";
import { fromStoredText, toStoredText } from "./postgres-text.ts";
import { millis, timeText } from "./postgres-time.ts";

/** The prediction log. */
export type PostgresPredictions = Pick<OfflineStore, "appendPredictions" | "predictions" | "removePredictions">;

interface PredictionRow {
  readonly id: string;
  readonly model: string;
  readonly at: number;
  readonly keys: readonly string[];
  readonly json: string;
}

export function postgresPredictions(database: PostgresDatabase, erasure: PostgresErasure): PostgresPredictions {
  const { schema } = database;
  const stored = (text: string): string => toStoredText(text.toWellFormed());
  return {
    async appendPredictions(records) {
      database.checkOpen();
      if (records.length === 0) return;
      await database.transaction(async (client) => {
        await client.query(erasure.holdOff);
        const version = await client.query(`SELECT ${erasure.version} AS version`);
        const { filter } = await erasure.at(client, version.rows[0].version);
        const kept = filter.predictions(records);
        await client.query(
          `INSERT INTO ${schema}.predictions (model, "at", keys, json)
           SELECT model, "at", ARRAY (SELECT jsonb_array_elements_text(keys::jsonb)), json
           FROM unnest($1::text[], $2::timestamptz[], $3::text[], $4::text[]) AS r (model, "at", keys, json)`,
          [
            kept.map((record) => stored(record.model)),
            kept.map((record) => timeText(record.at)),
            kept.map((record) => JSON.stringify(record.keys)),
            kept.map((record) => stored(record.json)),
          ],
        );
      });
    },
    async predictions({ model, from, beforeId, afterId, limit }) {
      const conditions = ["true"];
      const values: unknown[] = [Math.max(0, Math.floor(limit))];
      const add = (condition: string, value: unknown): void => {
        values.push(value);
        conditions.push(`${condition} $${values.length}`);
      };
      if (model !== undefined) add("model =", stored(model));
      if (from !== undefined) add('p."at" >=', timeText(from));
      if (beforeId !== undefined) add("id <", Math.floor(beforeId));
      if (afterId !== undefined) add("id >", Math.floor(afterId));
      const found = await database.repeatable((client) =>
        client.query<PredictionRow>(
          `SELECT id, model, ${millis('p."at"')} AS "at", keys, json FROM ${schema}.predictions p
           WHERE ${conditions.join(" AND ")} ORDER BY id DESC LIMIT $1`,
          values,
        ),
      );
      return found.rows.map((row) => ({
        id: Number(row.id),
        model: fromStoredText(row.model),
        at: row.at,
        keys: row.keys,
        json: fromStoredText(row.json),
      }));
    },
    async removePredictions(before) {
      const removed = await database.repeatable((client) =>
        client.query(`DELETE FROM ${schema}.predictions WHERE "at" < $1`, [timeText(before)]),
      );
      return removed.rowCount ?? 0;
    },
  };
}
