import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commit, payment, payments } from "../../../conformance/offline/offline-store-fixtures.ts";
import { readFrame } from "../../../src/feature_store/offline/duckdb-frame.ts";
import { duckdbOfflineStore } from "../../../src/feature_store/offline/duckdb-offline-store.ts";

describe("a query of the DuckDB store", () => {
  it("gives the rows of one SELECT and nothing else, within its time", async () => {
    const folder = await mkdtemp(join(tmpdir(), "millrace-sql-"));
    try {
      await using store = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
      await store.prepareSource(payments);
      const owned = await store.own("payments", "0");
      await commit(store, owned, [payment(owned, 0), payment(owned, 1, { amount: null })], 1);
      const path = join(folder, "rows.parquet");
      const run = (sql: string, timeoutMs = 60_000): Promise<void> => store.exportQuery!(sql, path, timeoutMs);
      await run("SELECT user_id, amount, _event_time AS event_timestamp FROM events_payments ORDER BY _offset -- all");
      expect((await readFrame(path)).rows).toEqual([
        { user_id: "ann", amount: 0, event_timestamp: 1_700_000_000_000 },
        { user_id: "ann", amount: null, event_timestamp: 1_700_000_000_001 },
      ]);
      for (const sql of [
        "DELETE FROM events_payments",
        "SELECT 1; DELETE FROM events_payments",
        `COPY events_payments TO '${join(folder, "stolen.csv")}'`,
        "SELECT 1) TO '/tmp/x'; --",
        "SELECT nothing FROM events_payments",
      ]) {
        await expect(run(sql), sql).rejects.toMatchObject({ code: "SQL_INVALID" });
      }
      const endless = "SELECT sum(a.range * b.range) FROM range(10000000) a, range(10000000) b";
      await expect(run(endless, 300)).rejects.toMatchObject({ code: "SQL_TIMEOUT" });
      await run("SELECT count(*)::INTEGER AS n FROM events_payments");
      expect((await readFrame(path)).rows).toEqual([{ n: 2 }]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
