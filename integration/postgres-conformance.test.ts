import { arch } from "node:os";
import { afterAll, beforeAll, describe } from "vitest";
import { describeOfflineStore } from "../conformance/offline-store-conformance.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { OLDEST_POSTGRES, type PostgresServer, postgresVersions, startPostgres } from "./services/postgres-server.ts";

// The oldest version is to be had for x64 only.
const versions = new Set([...(arch() === "x64" ? [OLDEST_POSTGRES] : []), ...postgresVersions()]);

describe.each([...versions])("PostgreSQL %i", (version) => {
  let server: PostgresServer;
  let places = 0;

  beforeAll(async () => {
    server = await startPostgres({ version, settings: { fsync: "off", max_connections: "40" } });
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
});
