import type { DuckdbDatabase } from "./duckdb-database.ts";
import { literal } from "./duckdb-event-table.ts";
import type { OfflineStore } from "./offline-store.ts";
import { sqlInvalid, sqlTimeout } from "./sql-errors.ts";

/** Runs one SELECT in a transaction that may only read, on a connection of its own. */
export function duckdbExportQuery(database: DuckdbDatabase): NonNullable<OfflineStore["exportQuery"]> {
  const { api } = database;
  return async (sql, path, timeoutMs) => {
    const connection = await database.connect();
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      connection.interrupt();
    }, timeoutMs);
    try {
      const statements = await connection.extractStatements(sql);
      if (statements.count !== 1) throw sqlInvalid(`it holds ${statements.count} statements`);
      const prepared = await statements.prepare(0);
      const isSelect = prepared.statementType === api.StatementType.SELECT;
      prepared.destroySync();
      if (!isSelect) throw sqlInvalid("it is not a SELECT");
      await connection.run("BEGIN TRANSACTION READ ONLY");
      // The line's end closes a comment that the query may end with.
      const query = sql.replace(/[;\s]+$/, "");
      await connection.run(`COPY (${query}\n) TO ${literal(path)} (FORMAT parquet)`);
    } catch (cause) {
      if (isLate) throw sqlTimeout(timeoutMs);
      if (cause instanceof Error && cause.name === "MillraceError") throw cause;
      throw sqlInvalid(cause instanceof Error ? cause.message.split("\n")[0]! : String(cause), cause);
    } finally {
      clearTimeout(timer);
      connection.closeSync();
    }
  };
}
