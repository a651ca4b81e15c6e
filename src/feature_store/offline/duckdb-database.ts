import { mkdirSync, readdirSync, readFileSync, readlinkSync, realpathSync, rmSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import type { DuckDBConnection, DuckDBInstance } from "@duckdb/node-api";
import { storeError } from "../store-error.ts";
import { checkRoomToMake } from "./duckdb-disk-room.ts";
import { duckdbError, storeClosed, storeLocked } from "./duckdb-error.ts";
import { migrateDuckdb } from "./duckdb-migrations.ts";

export interface DuckdbOfflineStoreOptions {
  /** The file, made if it is not there (its folder too). Beside it DuckDB keeps `.wal` and, while sorting, `.tmp`. */
  readonly path: string;
  /** Refuses writes, and a file that is not there. Default false. */
  readonly readOnly?: boolean;
  /** Threads that DuckDB uses beside the caller's. Default: one per core. */
  readonly threads?: number;
  /** What DuckDB may keep in memory before it spills to disk, bytes. Default 1 GiB. */
  readonly memoryLimitBytes?: number;
  /** How far `.wal` grows before it is merged into the file, which holds commits up for some hundred ms. Default 64 MiB. */
  readonly checkpointBytes?: number;
}

export type DuckdbApi = typeof import("@duckdb/node-api");

/** An open file: one connection that writes, one job at a time, and a connection of its own for each reader. */
export interface DuckdbDatabase {
  readonly api: DuckdbApi;
  readonly path: string;
  readonly memoryLimitBytes: number;
  /** Throws `OFFLINE_STORE_UNAVAILABLE` once closed. */
  checkOpen(): void;
  /** Runs jobs one after the other, in the order of the calls; what they throw becomes an error of this layer. */
  write<Result>(job: (connection: DuckDBConnection) => Promise<Result>): Promise<Result>;
  /** As `write`, in one transaction. */
  transaction<Result>(job: (connection: DuckDBConnection) => Promise<Result>): Promise<Result>;
  /** One step of a reader: not begun after `close`, which waits for those under way. */
  step<Result>(run: () => Promise<Result>): Promise<Result>;
  connect(): Promise<DuckDBConnection>;
  close(): Promise<void>;
}

const MIB = 2 ** 20;

/** Files that this thread has open; DuckDB's lock does not hold against its own process. */
const openHere = new Set<string>();

export async function openDuckdb(options: DuckdbOfflineStoreOptions): Promise<DuckdbDatabase> {
  const api = await import("@duckdb/node-api").catch((cause: unknown) => {
    throw storeError(
      "OFFLINE_STORE_UNAVAILABLE",
      "The DuckDB offline store needs the package '@duckdb/node-api', which cannot be loaded: npm install @duckdb/node-api.",
      { cause },
    );
  });
  const { path, readOnly = false, memoryLimitBytes = 1_024 * MIB } = options;
  let file = resolve(path);
  let instance: DuckDBInstance | undefined;
  let reserved = false;
  try {
    if (!readOnly) {
      mkdirSync(dirname(file), { recursive: true });
      // Left by a process that died while it made the file.
      if (statSync(file, { throwIfNoEntry: false })?.size === 0) rmSync(file);
      if (statSync(file, { throwIfNoEntry: false }) === undefined) checkRoomToMake(path, dirname(file));
    }
    file = canonical(file);
    if (openHere.has(file) || openInProcess(file)) throw storeLocked(path, "this process");
    openHere.add(file);
    reserved = true;
    instance = await api.DuckDBInstance.create(file, {
      access_mode: readOnly ? "READ_ONLY" : "READ_WRITE",
      memory_limit: mebibytes(memoryLimitBytes),
      temp_directory: `${file}.tmp`,
      checkpoint_threshold: mebibytes(options.checkpointBytes ?? 64 * MIB),
      // Every query that needs an order says so.
      preserve_insertion_order: "false",
      autoinstall_known_extensions: "false",
      ...(options.threads === undefined ? {} : { threads: String(options.threads) }),
    });
    const writer = await instance.connect();
    if (!readOnly) await migrateDuckdb(writer, path);
    return database({ api, path, memoryLimitBytes }, file, instance, writer);
  } catch (cause) {
    const error = duckdbError(cause, path);
    instance?.closeSync();
    if (reserved) openHere.delete(file);
    throw error;
  }
}

function database(
  facts: Pick<DuckdbDatabase, "api" | "path" | "memoryLimitBytes">,
  file: string,
  instance: DuckDBInstance,
  writer: DuckDBConnection,
): DuckdbDatabase {
  const { path } = facts;
  const steps = new Set<Promise<unknown>>();
  const readers = new Set<DuckDBConnection>();
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;

  function checkOpen(): void {
    if (closed) throw storeClosed(path);
  }

  async function write<Result>(job: (connection: DuckDBConnection) => Promise<Result>): Promise<Result> {
    checkOpen();
    const done = last.then(() => job(writer));
    last = done.catch(() => {});
    try {
      return await done;
    } catch (cause) {
      throw duckdbError(cause, path);
    }
  }

  async function step<Result>(run: () => Promise<Result>): Promise<Result> {
    checkOpen();
    const running = run();
    steps.add(running);
    try {
      return await running;
    } catch (cause) {
      throw duckdbError(cause, path);
    } finally {
      steps.delete(running);
    }
  }

  return {
    ...facts,
    checkOpen,
    write,
    transaction: (job) =>
      write(async (connection) => {
        await connection.run("BEGIN");
        try {
          const result = await job(connection);
          await connection.run("COMMIT");
          return result;
        } catch (cause) {
          // A failed COMMIT has ended the transaction already.
          await connection.run("ROLLBACK").catch(() => {});
          throw cause;
        }
      }),
    step,
    async connect() {
      const connection = await step(() => instance.connect());
      readers.add(connection);
      const closeSync = connection.closeSync.bind(connection);
      connection.closeSync = () => {
        if (readers.delete(connection)) closeSync();
      };
      return connection;
    },
    async close() {
      if (closed) return;
      closed = true;
      await last;
      await Promise.allSettled(steps);
      for (const reader of readers) reader.closeSync();
      // Here and not in `closeSync`, which would hold the thread.
      await writer.run("CHECKPOINT").catch(() => {});
      writer.closeSync();
      instance.closeSync();
      openHere.delete(file);
    },
  };
}

function mebibytes(bytes: number): string {
  return `${Math.max(1, Math.ceil(bytes / MIB))}MiB`;
}

/** The path without links, also of a file that is not there yet. */
function canonical(file: string): string {
  try {
    return realpathSync(file);
  } catch {
    try {
      return resolve(realpathSync(dirname(file)), file.slice(dirname(file).length + 1));
    } catch {
      return file;
    }
  }
}

/** Whether any thread of this process has the file open under a lock; known on Linux only. */
function openInProcess(file: string): boolean {
  let descriptors: string[];
  try {
    descriptors = readdirSync("/proc/self/fd");
  } catch {
    return false;
  }
  return descriptors.some((descriptor) => {
    try {
      if (readlinkSync(`/proc/self/fd/${descriptor}`) !== file) return false;
      // A child process inherits the descriptor, not the lock.
      return readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8").includes("lock:");
    } catch {
      return false;
    }
  });
}
