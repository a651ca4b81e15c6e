import type { OfflineStore } from "./offline-store.ts";
import { openPostgres, type PostgresOfflineStoreOptions } from "./postgres-database.ts";
import { postgresErasure } from "./postgres-erasure.ts";
import { postgresEventReader } from "./postgres-event-reader.ts";
import { postgresEventWriter } from "./postgres-event-writer.ts";
import { postgresExportQuery } from "./postgres-export-query.ts";
import { postgresLeases } from "./postgres-leases.ts";
import { postgresPointInTime } from "./postgres-point-in-time.ts";
import { postgresPredictions } from "./postgres-predictions.ts";
import { postgresRecords } from "./postgres-records.ts";
import { postgresRetention } from "./postgres-retention.ts";
import { postgresSources } from "./postgres-sources.ts";

export type { PostgresOfflineStoreOptions };

/**
 * An {@link OfflineStore} in a schema of a PostgreSQL database (13 or newer), for as many processes as needed. Each
 * source is a table `events_<source>` of its declared columns, partitioned by event time, with the log's own columns
 * before them: `_event_time` and `_ingested_at`, `_offset`, `_payload_hash`, `_partition_id`, `_version` or, of int64,
 * `_version_int64`, and with a declared id `_event_id`.
 *
 * A commit is on the server's disk when it returns, and so is `setApplied`. Each reader has a connection of its own and
 * sees the log as it was when it began. Calls that may be repeated wait for a server that is away.
 *
 * Throws `OFFLINE_STORE_UNAVAILABLE` (no server, wrong password, no such database, disk full, a newer layout, `pg` not
 * installed, closed), `OFFLINE_STORE_BUSY` (no connection in time, a statement took too long) and
 * `OFFLINE_STORE_CORRUPT`.
 */
export async function postgresOfflineStore(options: PostgresOfflineStoreOptions): Promise<OfflineStore> {
  const database = await openPostgres(options);
  const sources = postgresSources(database);
  const records = postgresRecords(database);
  const erasure = postgresErasure(database, sources);
  const writer = postgresEventWriter(database, sources, records, erasure);
  const retention = postgresRetention(database, sources);
  const reader = postgresEventReader(database, sources, retention);
  return {
    capabilities: { persistent: true, multiProcess: true },
    leases: postgresLeases(database),
    dropHistory: retention.dropHistory,
    prepareSource: sources.prepare,
    own: writer.own,
    commit: writer.commit,
    partitions: writer.partitions,
    read: reader.read,
    history: reader.history,
    pointInTime: postgresPointInTime(database, sources, retention, {
      connections: (options.maxConnections ?? 10) < 5 ? 1 : 2,
    }),
    exportQuery: postgresExportQuery(database),
    entityKeys: reader.entityKeys,
    applied: writer.applied,
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
    ...postgresPredictions(database, erasure),
    close: database.close,
    [Symbol.asyncDispose]: database.close,
  };
}
