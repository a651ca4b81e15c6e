/**
 * Training sets: `npm run bench -- point-in-time [--rows 5000000] [--labels 100000] [--stores duckdb,postgres] [--no-peers]`
 *
 * 100 thousand labels with 5 million rows of three tables (20 features, ttl, corrections) and with 5 million events of
 * three streams (36 features over 1 h, 24 h, 7 d), to Parquet. The data is loaded through the stores. Peers in the same
 * run on the same data: Feast through its own API, and the best SQL we know for DuckDB; results are compared.
 */
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { DuckDBInstance } from "@duckdb/node-api";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { writeTrainingFile } from "../src/feature_store/training-file.ts";
import { labels, load, services, streamViews, tableViews } from "./point-in-time-data.ts";
import { WINDOW_SQL } from "./point-in-time-sql.ts";

const { values: options } = parseArgs({
  args: process.argv.slice(3),
  options: {
    rows: { type: "string", default: "5000000" },
    labels: { type: "string", default: "100000" },
    stores: { type: "string", default: "duckdb,postgres" },
    rounds: { type: "string", default: "3" },
    keep: { type: "string" },
    "no-peers": { type: "boolean", default: false },
  },
});
const ROWS = Number(options.rows);
const LABELS = Number(options.labels);
const ROUNDS = Number(options.rounds);
const FEAST = "feast[duckdb,postgres]==0.67.0";
const folder = options.keep ?? (await mkdtemp(join(tmpdir(), "millrace-point-in-time-")));
const views = [...tableViews, ...streamViews];

console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`);
console.log(
  `${LABELS} labels, ${ROWS} rows of three tables and ${ROWS} events of three streams; seconds, ${ROUNDS} rounds`,
);
try {
  await run();
} finally {
  if (options.keep === undefined) await rm(folder, { recursive: true, force: true });
}

async function run(): Promise<void> {
  const cold = join(folder, "cold.duckdb");
  const stores = options.stores.split(",");
  {
    await using store = await duckdbOfflineStore({ path: cold });
    if ((await store.partitions("users").catch(() => [])).length === 0) await loadAll("DuckDB", store);
  }
  await exportData(cold);
  const entities = join(folder, "labels.parquet");
  if (stores.includes("duckdb")) {
    await using store = await duckdbOfflineStore({ path: cold });
    for (const { name } of services) await measure(`Millrace on DuckDB, ${name}`, store, name, entities, "duckdb");
  }
  if (stores.includes("postgres")) await postgres(entities);
  if (!options["no-peers"]) {
    await sql("DuckDB's SQL over its own tables, windows", cold);
    if (stores.includes("duckdb")) feast("duckdb", []);
    await compare();
  }
}

async function postgres(entities: string): Promise<void> {
  const server = await startPostgres({ settings: { shared_buffers: "1GB", max_wal_size: "8GB", work_mem: "64MB" } });
  try {
    await using store = await postgresOfflineStore({ url: server.url(), statementTimeoutMs: 600_000 });
    await loadAll("PostgreSQL", store);
    for (const { name } of services)
      await measure(`Millrace on PostgreSQL, ${name}`, store, name, entities, "postgres");
    if (options["no-peers"]) return;
    for (const { source } of tableViews) {
      const columns = source.columns.map(({ name }) => name).join(", ");
      server.sql(
        `CREATE TABLE public.${source.name} AS SELECT ${columns} FROM millrace.events_${source.name}; CREATE INDEX ON public.${source.name} (${source.columns[0]!.name}, event_timestamp DESC, created DESC); ANALYZE public.${source.name}`,
      );
    }
    feast("postgres", ["127.0.0.1", String(server.port), server.user, "postgres", server.password]);
  } finally {
    await server.remove();
  }
}

async function loadAll(name: string, store: OfflineStore): Promise<void> {
  for (const { source } of views) {
    const started = performance.now();
    await load(store, source, ROWS);
    console.log(`  ${source.name} loaded into ${name} in ${seconds(started)} s`);
  }
}

async function measure(
  what: string,
  store: OfflineStore,
  service: string,
  entities: string,
  tag: string,
): Promise<void> {
  const features = createFeatureStore({
    views,
    services,
    online: memoryOnlineStore(),
    offline: store,
    now: Date.now,
  });
  const out = join(folder, `${service}-${tag}.parquet`);
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    await writeTrainingFile(features, { service, entities, out });
    times.push((performance.now() - started) / 1_000);
  }
  report(what, times);
  console.log(`    peak resident memory so far ${Math.round(process.resourceUsage().maxRSS / 1_024)} MiB`);
}

/** Feast's files and the labels, made of what the store holds. */
async function exportData(cold: string): Promise<void> {
  const instance = await DuckDBInstance.create(cold, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  for (const { source } of tableViews) {
    const columns = source.columns.map(({ name, type }) =>
      type.kind === "timestamp" ? `${name}::TIMESTAMP AS ${name}` : name,
    );
    await connection.run(
      `COPY (SELECT ${columns.join(", ")} FROM events_${source.name}) TO '${join(folder, `${source.name}.parquet`)}' (FORMAT parquet)`,
    );
  }
  connection.closeSync();
  instance.closeSync();
  const memory = await DuckDBInstance.create(":memory:");
  const writer = await memory.connect();
  await writer.run(
    "CREATE TABLE labels (label_id INTEGER, user_id BIGINT, merchant_id BIGINT, card_id BIGINT, event_timestamp TIMESTAMP, late BOOLEAN)",
  );
  const appender = await writer.createAppender("labels");
  let id = 0;
  for (const [user, merchant, card, time] of labels(LABELS)) {
    appender.appendInteger(id++);
    for (const key of [user, merchant, card]) appender.appendBigInt(BigInt(key));
    appender.appendTimestamp({ micros: BigInt(time) * 1_000n } as never);
    appender.appendBoolean(user % 2 === 0);
    appender.endRow();
  }
  appender.closeSync();
  await writer.run(`COPY labels TO '${join(folder, "labels.parquet")}' (FORMAT parquet)`);
  writer.closeSync();
  memory.closeSync();
}

async function sql(what: string, cold: string): Promise<void> {
  const instance = await DuckDBInstance.create(cold, { access_mode: "READ_ONLY" });
  const connection = await instance.connect();
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const started = performance.now();
    const query = WINDOW_SQL(join(folder, "labels.parquet"));
    await connection.run(
      `COPY (${query}) TO '${join(folder, "windows-sql.parquet")}' (FORMAT parquet, COMPRESSION zstd)`,
    );
    times.push((performance.now() - started) / 1_000);
  }
  report(what, times);
  connection.closeSync();
  instance.closeSync();
}

function feast(store: "duckdb" | "postgres", args: readonly string[]): void {
  const python = join(pythonEnvironment([FEAST]), "python");
  const script = fileURLToPath(new URL("point_in_time_feast.py", import.meta.url));
  const done = spawnSync(python, [script, store, folder, String(ROUNDS), ...args], {
    encoding: "utf8",
    env: { ...process.env, FEAST_USAGE: "False" },
    maxBuffer: 2 ** 26,
  });
  if (done.status !== 0) console.log(`  Feast on ${store} failed: ${done.stderr.slice(-1_500)}`);
  else report(`Feast 0.67.0 on ${store}`, JSON.parse(done.stdout.trim().split("\n").at(-1)!) as number[]);
}

/** Values that differ between two files, by label; doubles within a relative 1e-9, which is how sums in SQL differ. */
async function compare(): Promise<void> {
  const instance = await DuckDBInstance.create(":memory:");
  const connection = await instance.connect();
  for (const [ours, theirs] of [
    ["facts-duckdb", "feast-duckdb"],
    ["facts-postgres", "feast-postgres"],
    ["facts-postgres", "facts-duckdb"],
    ["windows-duckdb", "windows-sql"],
    ["windows-postgres", "windows-duckdb"],
  ] as const) {
    const [a, b] = [ours, theirs].map((name) => `read_parquet('${join(folder, `${name}.parquet`)}')`);
    const described = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${a}`).catch(() => null);
    const other = await connection.runAndReadAll(`DESCRIBE SELECT * FROM ${b}`).catch(() => null);
    if (described === null || other === null) continue;
    const shared = new Set(other.getRows().map(([name]) => name));
    const names = described
      .getRows()
      .filter(([name]) => shared.has(name!) && !/_id$|timestamp|late/.test(String(name)));
    const differs = names.map(([name, type]) => {
      if (type === "VARCHAR") return `(a.${name} IS DISTINCT FROM b.${name})`;
      // Feast makes doubles of integers with nulls.
      const [x, y] = [`a.${name}::DOUBLE`, `b.${name}::DOUBLE`];
      return `(${x} IS DISTINCT FROM ${y} AND NOT coalesce(abs(${x} - ${y}) <= 1e-9 * abs(${y}), false))`;
    });
    const result = await connection.runAndReadAll(
      `SELECT count(*), sum(${differs.map((d) => `${d}::INT`).join(" + ")}), sum(${names.map(([n]) => `(a.${n} IS NOT NULL)::INT`).join(" + ")}) FROM ${a} a JOIN ${b} b USING (label_id)`,
    );
    const [rows, different, present] = result.getRows()[0]!.map(Number);
    console.log(
      `  ${ours} against ${theirs}: ${rows! * names.length} values (${present} not null), ${different} differ`,
    );
  }
  connection.closeSync();
  instance.closeSync();
}

function report(what: string, times: readonly number[]): void {
  const sorted = [...times].sort((a, b) => a - b);
  console.log(
    `  ${what}: median ${sorted[Math.floor(sorted.length / 2)]!.toFixed(2)} s (${sorted[0]!.toFixed(2)} to ${sorted.at(-1)!.toFixed(2)})`,
  );
}

function seconds(started: number): string {
  return ((performance.now() - started) / 1_000).toFixed(1);
}
