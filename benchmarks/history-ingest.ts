import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { from as copyFrom } from "pg-copy-streams";
import { startPostgres } from "../integration/services/postgres-server.ts";
import type { Value } from "../src/definitions/value.ts";
import type { LoggedEvent, OwnedPartition } from "../src/feature_engineering/engine/event-log.ts";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import type { OfflineStore, SourceTable } from "../src/feature_store/offline/offline-store.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";

const AIM = 300_000;
const COLUMNS: SourceTable["columns"] = [
  { name: "payment_id", type: { kind: "string", nullable: false } },
  { name: "user_id", type: { kind: "string", nullable: false } },
  { name: "amount", type: { kind: "float64", nullable: true } },
  { name: "merchant", type: { kind: "string", nullable: true } },
  { name: "country", type: { kind: "string", nullable: true } },
  { name: "items", type: { kind: "int32", nullable: true } },
  { name: "card", type: { kind: "int64", nullable: true } },
  { name: "online", type: { kind: "bool", nullable: true } },
  { name: "shipped_at", type: { kind: "timestamp", nullable: true } },
  { name: "lat", type: { kind: "float64", nullable: true } },
];
const KEYS = [["user_id"]];

/**
 * Rows per second into history: events of ten columns through `commit()`, which checks the epoch, drops redeliveries,
 * keeps ids unique, fills the point-in-time index and returns when the batch is on disk. PostgreSQL and DuckDB, and as
 * peers the same rows by text COPY and by multi-row INSERT into tables with the same indexes.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rows: { type: "string", default: "480000" },
      batch: { type: "string", default: "16000" },
      rounds: { type: "string", default: "3" },
      only: { type: "string" },
    },
  });
  const rows = Number(values.rows);
  const batch = Number(values.batch);
  const wanted = (name: string): boolean => values.only === undefined || name.includes(values.only);
  console.log(`${cpus()[0]?.model.trim()}, ${availableParallelism()} cores, Node ${process.version}`);
  console.log(
    `${rows} rows of ten columns in batches of ${batch}; median (from, to) of ${values.rounds} rounds; aim ${AIM}/s`,
  );
  const folder = await mkdtemp(join(tmpdir(), "millrace-history-"));
  const server = await startPostgres({
    settings: { shared_buffers: "1GB", max_wal_size: "8GB", wal_compression: "off", checkpoint_timeout: "'30min'" },
  });
  let places = 0;
  const measure = async (name: string, round: (place: number) => Promise<number>): Promise<void> => {
    if (!wanted(name)) return;
    const rates: number[] = [];
    const costs: [number, number][] = [];
    for (let n = 0; n < Number(values.rounds); n++) {
      server.sql("CHECKPOINT");
      const cpu = process.cpuUsage();
      const backends = await server.backendSeconds();
      const seconds = await round(++places);
      rates.push(rows / seconds);
      const { user, system } = process.cpuUsage(cpu);
      costs.push([(user + system) / rows, (((await server.backendSeconds()) - backends) * 1e6) / rows]);
    }
    rates.sort((a, b) => a - b);
    const text = (rate: number): string => Math.round(rate).toLocaleString("en");
    console.log(
      `${name}: ${text(rates[Math.floor(rates.length / 2)]!)} rows/s (${text(rates[0]!)} to ${text(rates.at(-1)!)}); ` +
        `CPU per row ${costs.map(([mine]) => mine.toFixed(1)).join(", ")} µs here with making the rows, ` +
        `${costs.map(([, theirs]) => theirs.toFixed(1)).join(", ")} µs in the server`,
    );
  };
  const postgres = (place: number): Promise<OfflineStore> =>
    postgresOfflineStore({ url: server.url(), schema: `place_${place}`, maxConnections: 6 });
  const duckdb = (place: number): Promise<OfflineStore> =>
    duckdbOfflineStore({ path: join(folder, `${place}.duckdb`) });
  try {
    console.log(server.sql("SHOW server_version"));
    for (const hasId of [false, true]) {
      const table: SourceTable = { source: "payments", columns: COLUMNS, hasId, keys: KEYS };
      const kind = hasId ? "with declared ids" : "without ids";
      for (const partitions of [1, 2]) {
        const at = `${kind}, ${partitions} partition${partitions === 1 ? "" : "s at once"}`;
        await measure(`PostgreSQL, commit() ${at}`, (place) =>
          throughCommit(() => postgres(place), table, rows, batch, partitions),
        );
        await measure(`DuckDB, commit() ${at}`, (place) =>
          throughCommit(() => duckdb(place), table, rows, batch, partitions),
        );
      }
      for (const [how, write] of [
        ["text COPY", textCopy],
        ["multi-row INSERT", multiRowInsert],
      ] as const) {
        await measure(`PostgreSQL, ${how} ${kind}`, async (place) => {
          const store = await postgres(place);
          await store.prepareSource(table);
          await store.close();
          return raw(server.url(), `place_${place}.events_payments`, hasId, rows, batch, write);
        });
      }
    }
  } finally {
    await server.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Seconds. */
async function throughCommit(
  open: () => Promise<OfflineStore>,
  table: SourceTable,
  rows: number,
  batch: number,
  partitions: number,
): Promise<number> {
  await using store = await open();
  await store.prepareSource(table);
  const owned = await Promise.all(
    Array.from({ length: partitions }, (_, partition) => store.own("payments", String(partition))),
  );
  const batches = owned.map((partition, index) => chunks(batch, events(partition, rows / partitions, index * rows)));
  const started = performance.now();
  await Promise.all(
    owned.map(async (partition, index) => {
      for (const part of batches[index]!) {
        await store.commit({ partition, events: part, deadLetters: [], lastOffset: part.at(-1)!.offset });
      }
    }),
  );
  return (performance.now() - started) / 1_000;
}

type Write = (client: pg.Client, table: string, names: readonly string[], rows: readonly unknown[][]) => Promise<void>;

async function raw(
  url: string,
  table: string,
  hasId: boolean,
  rows: number,
  batch: number,
  write: Write,
): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  const names = [
    "_event_time",
    "_ingested_at",
    "_offset",
    "_payload_hash",
    "_partition_id",
    ...(hasId ? ["_event_id"] : []),
    ...COLUMNS.map(({ name }) => name),
  ];
  const partition = { partitionId: 1 } as OwnedPartition;
  const batches = chunks(batch, events(partition, rows, 0)).map((part) =>
    part.map((event) => [
      new Date(event.eventTime).toISOString(),
      new Date(event.ingestedAt).toISOString(),
      event.offset,
      [event.hash0, event.hash1, event.hash2, event.hash3].map((word) => word.toString(16).padStart(8, "0")).join(""),
      1,
      ...(hasId ? [event.id] : []),
      ...event.row.map((value, index) =>
        COLUMNS[index]!.type.kind === "timestamp" && value !== null ? new Date(value as number).toISOString() : value,
      ),
    ]),
  );
  await client.query(
    `CREATE TABLE IF NOT EXISTS ${table}$2023_11 PARTITION OF ${table} FOR VALUES FROM ('2023-11-01Z') TO ('2023-12-01Z')`,
  );
  const started = performance.now();
  for (const part of batches) {
    await client.query("BEGIN");
    await write(client, table, names, part);
    await client.query("COMMIT");
  }
  const seconds = (performance.now() - started) / 1_000;
  await client.end();
  return seconds;
}

async function textCopy(...[client, table, names, rows]: Parameters<Write>): Promise<void> {
  const stream = client.query(copyFrom(`COPY ${table} (${names.join(", ")}) FROM STDIN`));
  let text = "";
  for (const row of rows) {
    // None of the values needs an escape.
    text += `${row.map((value) => (value === null ? "\\N" : String(value))).join("\t")}\n`;
    if (text.length > 65_536) {
      stream.write(text);
      text = "";
    }
  }
  stream.end(text);
  await once(stream, "finish");
}

async function multiRowInsert(...[client, table, names, rows]: Parameters<Write>): Promise<void> {
  for (const part of chunks(1_000, rows)) {
    const values = part.map(
      (_, row) => `(${names.map((_name, column) => `$${row * names.length + column + 1}`).join(", ")})`,
    );
    await client.query(`INSERT INTO ${table} (${names.join(", ")}) VALUES ${values.join(", ")}`, part.flat());
  }
}

function chunks<T>(size: number, all: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, n) => all.slice(n * size, (n + 1) * size));
}

/** Payments, twenty a second, slightly out of order. */
function events({ partitionId }: OwnedPartition, count: number, first: number): LoggedEvent[] {
  return Array.from({ length: count }, (_, offset) => {
    const n = first + offset;
    const random = Math.imul(n, 0x9e3779b1) >>> 0;
    const id = `payment-${n.toString(36).padStart(10, "0")}`;
    const eventTime = 1_699_000_000_000 + offset * 50 - (random % 5_000);
    const row: Value[] = [
      id,
      `user-${random % 50_000}`,
      (random % 100_000) / 100,
      `merchant number ${random % 1_000}`,
      ["DE", "FR", "US", "JP"][random % 4]!,
      random % 10,
      BigInt(random),
      random % 2 === 0,
      random % 3 === 0 ? null : eventTime + 86_400_000,
      (random % 180_000) / 1_000 - 90,
    ];
    return {
      partitionId,
      offset,
      eventTime,
      version: null,
      ingestedAt: eventTime + 300,
      hash0: random,
      hash1: Math.imul(random, 3) >>> 0,
      hash2: Math.imul(random, 5) >>> 0,
      hash3: Math.imul(random, 7) >>> 0,
      id,
      row,
    };
  });
}
