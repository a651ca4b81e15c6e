import { afterAll, beforeAll } from "vitest";
import { describeOfflineStore } from "../conformance/offline-store-conformance.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";

let server: PostgresServer;
let places = 0;

beforeAll(async () => {
  server = await startPostgres({ settings: { fsync: "off", max_connections: "40" } });
});

afterAll(async () => {
  await server.remove();
});

describeOfflineStore("postgresOfflineStore", {
  capabilities: { persistent: true, multiProcess: true },
  async make() {
    const schema = `place_${++places}`;
    return {
      open: () => postgresOfflineStore({ url: server.url(), schema, maxConnections: 4 }),
      remove: async () => {
        server.sql(`DROP SCHEMA ${schema} CASCADE`);
      },
    };
  },
});
