import type { ConnectionOptions } from "node:tls";
import type { Pool, PoolClient } from "pg";
import type { from as CopyFrom, to as CopyTo } from "pg-copy-streams";
import { storeError } from "../store-error.ts";
import {
  isConnectionLoss,
  isReadOnly,
  outcomeUnknown,
  postgresClosed,
  postgresError,
  readOnlyServer,
} from "./postgres-error.ts";
import { type Lane, lane } from "./postgres-lane.ts";
import { migratePostgres } from "./postgres-migrations.ts";
import { quoted } from "./postgres-text.ts";

export interface PostgresOfflineStoreOptions {
  /** `postgres://user@host:5432/database`, with or without a password, with libpq's parameters such as `sslmode`. */
  readonly url: string;
  /** Instead of the URL's. */
  readonly password?: string;
  /** Instead of the URL's `sslmode`: false, true, or certificates and keys. */
  readonly tls?: boolean | ConnectionOptions;
  /** The schema that holds all tables, made if it is not there. Default `millrace`. */
  readonly schema?: string;
  /** The most connections of this store, at least 2; about two thirds of them serve readers. Default 10. */
  readonly maxConnections?: number;
  /** How long a call waits for a connection before it fails with `OFFLINE_STORE_BUSY`, milliseconds. Default 10,000. */
  readonly acquireTimeoutMs?: number;
  /** How long a new connection may take, milliseconds. Default 10,000. */
  readonly connectTimeoutMs?: number;
  /** How long a statement may take, milliseconds; readings, which go at their caller's pace, are exempt. Default 60,000. */
  readonly statementTimeoutMs?: number;
  /** How long the server waits for the next statement of a transaction, milliseconds. Default 60,000. */
  readonly idleInTransactionTimeoutMs?: number;
  /** How long a call that may be repeated tries to reach a server that is away, milliseconds. Default 30,000. */
  readonly retryMs?: number;
  /** The name in `pg_stat_activity`. Default `millrace`. */
  readonly applicationName?: string;
  /** The span of time whose events share a table, for sources that are new. Default `month`. */
  readonly partitionBy?: PartitionInterval;
}

export type PartitionInterval = "day" | "month" | "year";

export interface PostgresApi {
  readonly Pool: typeof import("pg").Pool;
  readonly copyFrom: typeof CopyFrom;
  readonly copyTo: typeof CopyTo;
}

/** A connection pool with bounded waiting; what goes wrong in it becomes an error of this layer. */
export interface PostgresDatabase {
  readonly api: PostgresApi;
  /** The server and database, without the password. */
  readonly place: string;
  /** Quoted. */
  readonly schema: string;
  readonly schemaName: string;
  readonly partitionBy: PartitionInterval;
  /** Throws `OFFLINE_STORE_UNAVAILABLE` once closed. */
  checkOpen(): void;
  /** A job on a connection. Errors of the client come through as they are if `raw`. */
  use<Result>(job: (client: PoolClient) => Promise<Result>): Promise<Result>;
  /** As `use`, repeated while the server is away: for jobs that may run twice. */
  repeatable<Result>(job: (client: PoolClient, attempt: number) => Promise<Result>): Promise<Result>;
  /** In one transaction; repeated while the server is away, unless the COMMIT was under way. */
  transaction<Result>(job: (client: PoolClient) => Promise<Result>): Promise<Result>;
  /** A connection without a time limit for statements, for a reading that ends with `release`. */
  reader(): Promise<PostgresReader>;
  error(cause: unknown): Error;
  close(): Promise<void>;
}

export interface PostgresReader {
  readonly client: PoolClient;
  /** Gives the connection back, or ends it if it is in the middle of something. */
  release(isIdle: boolean): void;
}

/** Names of schemas stay readable, and short enough for what is appended. */
const SCHEMA_NAME = /^[a-z_][a-z0-9_]{0,62}$/;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 1_000;

export async function openPostgres(options: PostgresOfflineStoreOptions): Promise<PostgresDatabase> {
  const api = await loadApi();
  const url = parseUrl(options.url);
  const place = `${url.host}${url.pathname}`;
  const { schema = "millrace", maxConnections = 10, partitionBy = "month" } = options;
  if (!SCHEMA_NAME.test(schema)) {
    throw invalid(`'${schema}' is not a schema's name: use a–z, 0–9 and _, a letter first, at most 63 characters.`);
  }
  if (!Number.isInteger(maxConnections) || maxConnections < 2) {
    throw invalid(`maxConnections is ${maxConnections}: give at least 2, one to write and one to read.`);
  }
  // The client lets the URL win over what is given beside it, even a password that the URL does not have.
  if (options.password !== undefined) url.searchParams.set("password", options.password);
  const pool = new api.Pool({
    connectionString: url.href,
    ...(options.tls === undefined ? {} : { ssl: options.tls }),
    max: maxConnections,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    idleTimeoutMillis: 30_000,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    application_name: options.applicationName ?? "millrace",
    // In a failover an address may lead to a standby for a while: what that lacks must not be taken for all there is.
    verify: (client: PoolClient, done: (error?: Error) => void): void => {
      client
        .query<{ standby: boolean }>("SELECT pg_is_in_recovery() AS standby")
        .then(({ rows }) => done(rows[0]!.standby ? readOnlyServer() : undefined), done);
    },
    statement_timeout: options.statementTimeoutMs ?? 60_000,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 60_000,
  });
  // An idle connection that the server ends; the next call makes another.
  pool.on("error", () => {});
  // One in use that is lost between two statements: the next statement fails and tells.
  pool.on("connect", (client) => client.on("error", () => {}));
  const database = postgresDatabase(api, pool, place, schema, partitionBy, options);
  try {
    await database.repeatable((client) => migratePostgres(client, schema, place));
    return database;
  } catch (cause) {
    await database.close();
    throw database.error(cause);
  }
}

async function loadApi(): Promise<PostgresApi> {
  try {
    const [pg, copy] = await Promise.all([import("pg"), import("pg-copy-streams")]);
    return { Pool: pg.default.Pool, copyFrom: copy.from, copyTo: copy.to };
  } catch (cause) {
    throw storeError(
      "OFFLINE_STORE_UNAVAILABLE",
      "The PostgreSQL offline store needs the packages 'pg' and 'pg-copy-streams', which cannot be loaded: npm install pg pg-copy-streams.",
      { cause },
    );
  }
}

function parseUrl(text: string): URL {
  // The text itself, which may hold a password, is in no message and no cause.
  if (!URL.canParse(text)) throw invalid("Its URL is not one: write postgres://user:password@host:5432/database.");
  const url = new URL(text);
  if (url.protocol !== "postgres:" && url.protocol !== "postgresql:") {
    throw invalid(`Its URL begins with ${url.protocol}//: write postgres://user:password@host:5432/database.`);
  }
  return url;
}

function invalid(reason: string): Error {
  return storeError("OFFLINE_STORE_UNAVAILABLE", `The PostgreSQL offline store is not configured well. ${reason}`);
}

function postgresDatabase(
  api: PostgresApi,
  pool: Pool,
  place: string,
  schemaName: string,
  partitionBy: PartitionInterval,
  options: PostgresOfflineStoreOptions,
): PostgresDatabase {
  const { maxConnections = 10, acquireTimeoutMs = 10_000, retryMs = 30_000 } = options;
  const readerCount = Math.max(1, Math.floor((maxConnections * 2) / 3));
  const waiting = { place, timeoutMs: acquireTimeoutMs };
  const writers: Lane = lane({ ...waiting, places: maxConnections - readerCount, what: "writing" });
  const readers: Lane = lane({ ...waiting, places: readerCount, what: "reading" });
  const openReaders = new Set<PostgresReader>();
  const closing = new AbortController();
  let running = 0;
  let whenIdle: (() => void) | null = null;

  function checkOpen(): void {
    if (closing.signal.aborted) throw postgresClosed(place);
  }

  async function use<Result>(job: (client: PoolClient) => Promise<Result>): Promise<Result> {
    checkOpen();
    running++;
    try {
      await writers.enter();
      let client: PoolClient | null = null;
      let usable = false;
      try {
        client = await pool.connect();
        const result = await job(client);
        usable = true;
        return result;
      } catch (cause) {
        // The next connection may lead to a server that takes writes; this one stays where it is.
        usable = client !== null && !isConnectionLoss(cause) && !isReadOnly(cause) && (await rolledBack(client));
        throw cause;
      } finally {
        client?.release(!usable);
        writers.leave();
      }
    } finally {
      running--;
      if (running === 0) whenIdle?.();
    }
  }

  async function repeatable<Result>(job: (client: PoolClient, attempt: number) => Promise<Result>): Promise<Result> {
    const deadline = performance.now() + retryMs;
    for (let attempt = 0; ; attempt++) {
      try {
        return await use((client) => job(client, attempt));
      } catch (cause) {
        if (!isConnectionLoss(cause) || closing.signal.aborted || performance.now() >= deadline) {
          throw postgresError(cause, place);
        }
        await pause(Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt), closing.signal);
      }
    }
  }

  return {
    api,
    place,
    schemaName,
    schema: quoted(schemaName),
    partitionBy,
    checkOpen,
    use,
    repeatable,
    async transaction(job) {
      let isCommitting = false;
      return repeatable(async (client) => {
        // Whether it took effect is not known: once more might do it twice.
        if (isCommitting) throw outcomeUnknown(place);
        await client.query("BEGIN");
        const result = await job(client);
        isCommitting = true;
        await client.query("COMMIT");
        return result;
      });
    },
    async reader() {
      checkOpen();
      await readers.enter();
      try {
        checkOpen();
        const client = await pool.connect();
        const reader: PostgresReader = {
          client,
          release(isIdle) {
            if (!openReaders.delete(reader)) return;
            client.release(!isIdle);
            readers.leave();
          },
        };
        openReaders.add(reader);
        if (closing.signal.aborted) {
          reader.release(false);
          checkOpen();
        }
        return reader;
      } catch (cause) {
        readers.leave();
        throw postgresError(cause, place);
      }
    },
    error: (cause) => postgresError(cause, place),
    async close() {
      if (closing.signal.aborted) return;
      closing.abort();
      if (running > 0) {
        await new Promise<void>((resolve) => {
          whenIdle = resolve;
        });
      }
      for (const reader of openReaders) reader.release(false);
      await pool.end();
    },
  };
}

async function rolledBack(client: PoolClient): Promise<boolean> {
  try {
    await client.query("ROLLBACK");
    return true;
  } catch {
    return false;
  }
}

/** Ends early when the store is closed. */
function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    signal.addEventListener("abort", end);
  });
}
