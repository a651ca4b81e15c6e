import type { DuckDBConnection } from "@duckdb/node-api";
import { storeError } from "../store-error.ts";

/** The steps from an empty file to the present layout. Never change one that was released; add another. */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE sources (source VARCHAR NOT NULL, declaration VARCHAR NOT NULL);
   CREATE TABLE partitions (
     partition_id INTEGER NOT NULL, source VARCHAR NOT NULL, "partition" VARCHAR NOT NULL,
     owner_epoch BIGINT NOT NULL, committed BIGINT NOT NULL
   );
   CREATE TABLE applied (view_version VARCHAR NOT NULL, partition_id INTEGER NOT NULL, "offset" BIGINT NOT NULL);
   CREATE TABLE dead_letters (
     id BIGINT NOT NULL, source VARCHAR NOT NULL, "partition" VARCHAR NOT NULL, "offset" BIGINT NOT NULL,
     code VARCHAR NOT NULL, reason VARCHAR NOT NULL, bytes BLOB NOT NULL, "at" TIMESTAMP_MS NOT NULL
   );
   CREATE TABLE pushes (
     source VARCHAR NOT NULL, idempotency_key VARCHAR NOT NULL, "partition" VARCHAR NOT NULL,
     first_offset BIGINT NOT NULL, last_offset BIGINT NOT NULL, accepted BIGINT NOT NULL,
     rejected VARCHAR NOT NULL, "at" TIMESTAMP_MS NOT NULL
   );
   CREATE TABLE documents (
     kind VARCHAR NOT NULL, name VARCHAR NOT NULL, json VARCHAR NOT NULL, put_at TIMESTAMP_MS NOT NULL,
     sequence BIGINT NOT NULL
   );`,
  `CREATE TABLE erasure_secret (secret BLOB NOT NULL);
   CREATE TABLE tombstones (
     id BIGINT NOT NULL, entity VARCHAR NOT NULL, key_types VARCHAR NOT NULL, key_hash VARCHAR NOT NULL,
     until TIMESTAMP_MS NOT NULL, roles VARCHAR NOT NULL, pending_key VARCHAR
   );
   CREATE TABLE predictions (
     id BIGINT NOT NULL, model VARCHAR NOT NULL, "at" TIMESTAMP_MS NOT NULL, keys VARCHAR[] NOT NULL,
     json VARCHAR NOT NULL
   );`,
  "ALTER TABLE partitions ADD COLUMN cursor VARCHAR;",
  // The last id that a dead letter got: ids of deleted ones must not come back.
  `CREATE TABLE last_dead_letter (id BIGINT NOT NULL);
   INSERT INTO last_dead_letter SELECT coalesce(max(id), 0) FROM dead_letters;`,
];

/** Brings the file to the present layout, each step in one transaction. */
export async function migrateDuckdb(connection: DuckDBConnection, path: string): Promise<void> {
  await connection.run(
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL, migrated_at TIMESTAMP_MS NOT NULL)",
  );
  const result = await connection.runAndReadAll("SELECT coalesce(max(version), 0)::INTEGER FROM schema_version");
  const version = result.getRows()[0]![0] as number;
  if (version > MIGRATIONS.length) {
    throw storeError(
      "OFFLINE_STORE_UNAVAILABLE",
      `The offline store ${path} has layout ${version}, and this version of Millrace knows layouts up to ${MIGRATIONS.length}: use the newer Millrace that wrote it.`,
      { details: { path } },
    );
  }
  for (let step = version; step < MIGRATIONS.length; step++) {
    await connection.run(
      `BEGIN; ${MIGRATIONS[step]} INSERT INTO schema_version VALUES (${step + 1}, make_timestamp(${Date.now()} * 1000)); COMMIT;`,
    );
  }
}
