import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Meta } from "../src/definitions/meta.ts";
import { readHistory } from "../src/feature_store/historical-reader.ts";
import { readFrame } from "../src/feature_store/offline/duckdb-frame.ts";
import { openPostgres } from "../src/feature_store/offline/postgres-database.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { postgresPointInTime } from "../src/feature_store/offline/postgres-point-in-time.ts";
import { postgresRetention } from "../src/feature_store/offline/postgres-retention.ts";
import { postgresSources } from "../src/feature_store/offline/postgres-sources.ts";
import {
  frameOf,
  labels,
  load,
  oracle,
  plain,
  plainOf,
  runtime,
  sales,
  stream,
  table,
} from "../test/feature_store/history-world.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";

let server: PostgresServer;
let places = 0;

beforeAll(async () => {
  server = await startPostgres({ settings: { fsync: "off" } });
}, 120_000);
afterAll(async () => {
  await server.remove();
});

describe("reading history from PostgreSQL", () => {
  it("gives the oracle's values and statuses: by index, from columns in shares of any size, and by folding", async () => {
    await fc.assert(
      fc.asyncProperty(sales, labels, async (list, rows) => {
        const schema = `history_${++places}`;
        await using store = await postgresOfflineStore({ url: server.url(), schema });
        for (const source of [table, stream, plain]) await load(store, source[Meta], list);
        const frame = frameOf(rows);
        const expected = oracle(list, rows, false);
        expect(plainOf(await readHistory(store, runtime, frame, "event_time"))).toEqual(expected);
        const database = await openPostgres({ url: server.url(), schema });
        try {
          const sources = postgresSources(database);
          const { history } = store;
          const pointInTime = postgresPointInTime(database, sources, postgresRetention(database, sources), {
            shareEvents: 4,
            connections: 1,
          });
          expect(plainOf(await readHistory({ history, pointInTime }, runtime, frame, "event_time"))).toEqual(expected);
          expect(plainOf(await readHistory({ history }, runtime, frame, "event_time"))).toEqual(expected);
          expect(plainOf(await readHistory({ history, pointInTime }, runtime, frame, "ingested_at"))).toEqual(
            oracle(list, rows, true),
          );
        } finally {
          await database.close();
          server.sql(`DROP SCHEMA ${schema} CASCADE`);
        }
      }),
      { numRuns: 25, interruptAfterTimeLimit: 90_000 },
    );
  }, 180_000);

  it("gives the rows of one SELECT and nothing else, within its time", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-sql-"));
    try {
      await using store = await postgresOfflineStore({ url: server.url(), schema: "queries" });
      const source = stream[Meta];
      await store.prepareSource({ source: source.name, columns: source.columns, hasId: false });
      const path = join(folder, "rows.parquet");
      const run = (sql: string, timeoutMs = 60_000): Promise<void> => store.exportQuery!(sql, path, timeoutMs);
      await run(
        "SELECT 9007199254740993::bigint AS a, 1.5::numeric AS b, NULL::text AS c, timestamptz '2026-01-01 00:00:00.25+00' AS d, true AS e, count(*)::int AS f FROM events_sales -- all",
      );
      expect((await readFrame(path)).rows).toEqual([
        { a: 9007199254740993n, b: 1.5, c: null, d: Date.UTC(2026, 0, 1) + 250, e: true, f: 0 },
      ]);
      for (const sql of [
        "DELETE FROM events_sales",
        "WITH gone AS (DELETE FROM events_sales RETURNING *) SELECT * FROM gone",
        "SELECT 1 AS a) q; DROP TABLE events_sales; --",
        "SELECT 1 AS a) q; COMMIT; DROP TABLE events_sales; SELECT (1",
        "SELECT nothing FROM events_sales",
      ]) {
        await expect(run(sql), sql).rejects.toMatchObject({ code: "SQL_INVALID" });
      }
      await expect(run("SELECT pg_sleep(30)::text AS a", 200)).rejects.toMatchObject({ code: "SQL_TIMEOUT" });
      await run("SELECT count(*)::int AS n FROM events_sales");
      expect((await readFrame(path)).rows).toEqual([{ n: 0 }]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }, 60_000);
});
