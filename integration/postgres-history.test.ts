import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Meta } from "../src/definitions/meta.ts";
import { readHistory } from "../src/feature_store/historical-reader.ts";
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
        expect(await readHistory(store, runtime, frame, "event_time")).toEqual(expected);
        const database = await openPostgres({ url: server.url(), schema });
        try {
          const sources = postgresSources(database);
          const { history } = store;
          const pointInTime = postgresPointInTime(database, sources, postgresRetention(database, sources), {
            shareEvents: 4,
            connections: 1,
          });
          expect(await readHistory({ history, pointInTime }, runtime, frame, "event_time")).toEqual(expected);
          expect(await readHistory({ history }, runtime, frame, "event_time")).toEqual(expected);
          expect(await readHistory({ history, pointInTime }, runtime, frame, "ingested_at")).toEqual(
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
});
