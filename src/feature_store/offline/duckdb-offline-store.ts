import { type DuckdbOfflineStoreOptions, openDuckdb } from "./duckdb-database.ts";
import { duckdbErasure } from "./duckdb-erasure.ts";
import { duckdbEventReader } from "./duckdb-event-reader.ts";
import { duckdbEventWriter } from "./duckdb-event-writer.ts";
import { duckdbExportQuery } from "./duckdb-export-query.ts";
import { duckdbPointInTime } from "./duckdb-point-in-time.ts";
import { duckdbPredictions } from "./duckdb-predictions.ts";
import { duckdbRecords } from "./duckdb-records.ts";
import { duckdbSources } from "./duckdb-sources.ts";
import type { OfflineStore } from "./offline-store.ts";

export type { DuckdbOfflineStoreOptions };

/**
 * An {@link OfflineStore} in one DuckDB file, which any tool can open while no process of Millrace has it. Each source
 * is a table `events_<source>` of its declared columns, with the log's own columns before them: `_partition_id`,
 * `_offset`, `_event_time` and `_ingested_at` (UTC, milliseconds), `_version` or, of int64, `_version_int64`,
 * `_payload_hash`, and with a declared id `_event_id` and `_event_id_hash`.
 *
 * A commit is flushed to disk when it returns, and so is `setApplied`, which shares the transaction of a commit that
 * is waiting. Commits and readers run outside the calling thread. Each reader sees the log as it was when it began.
 *
 * Throws `OFFLINE_STORE_LOCKED` (another process, or this one, has the file open), `OFFLINE_STORE_CORRUPT` and
 * `OFFLINE_STORE_UNAVAILABLE` (not writable, disk full, `@duckdb/node-api` not installed, closed).
 */
export async function duckdbOfflineStore(options: DuckdbOfflineStoreOptions): Promise<OfflineStore> {
  const database = await openDuckdb(options);
  try {
    const sources = await duckdbSources(database);
    const records = duckdbRecords(database);
    const erasure = await duckdbErasure(database, sources);
    const predictions = await duckdbPredictions(database, erasure);
    const writer = await duckdbEventWriter(database, sources, records, erasure);
    const reader = duckdbEventReader(database, sources);
    return {
      capabilities: { persistent: true, multiProcess: false },
      prepareSource: sources.prepare,
      own: writer.own,
      commit: writer.commit,
      async partitions(source) {
        database.checkOpen();
        return writer.partitions(source);
      },
      read: reader.read,
      history: reader.history,
      entityKeys: reader.entityKeys,
      pointInTime: duckdbPointInTime(database, sources),
      exportQuery: duckdbExportQuery(database),
      async applied(viewVersion) {
        database.checkOpen();
        return writer.applied(viewVersion);
      },
      setApplied: writer.setApplied,
      seenPushes: records.seenPushes,
      deadLetters: records.deadLetters,
      removeDeadLetters: records.removeDeadLetters,
      putDocument: records.putDocument,
      documents: records.documents,
      erase: erasure.erase,
      tombstones: erasure.tombstones,
      finishErasure: erasure.finishErasure,
      extendTombstones: erasure.extendTombstones,
      ...predictions,
      close: database.close,
      [Symbol.asyncDispose]: database.close,
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}
