/**
 * Rows per second of the ingestion loop from files to a handler that only counts, opening and ordering included, the
 * largest resident memory meanwhile, and what decoding alone costs. Each case runs in a process of its own; the median
 * of three runs and their range are printed. Run: `node benchmarks/ingestion.ts [rows]` (default 1,000,000).
 */
import { spawnSync } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { createGzip } from "node:zlib";
import { compileMessageDecoder } from "../src/ingestion/decoders/message-decoder.ts";
import type { SourceColumn } from "../src/ingestion/decoders/row-decoder.ts";
import { fileReplay } from "../src/ingestion/sources/file-replay.ts";
import { streamIngestion } from "../src/ingestion/stream-ingestion.ts";

const START = Date.UTC(2026, 0, 1);
const RUNS = 3;

const columns: readonly SourceColumn[] = [
  { name: "authorized_at", type: { kind: "timestamp", nullable: false } },
  { name: "transaction_id", type: { kind: "string", nullable: false } },
  { name: "account_id", type: { kind: "int64", nullable: false } },
  { name: "merchant", type: { kind: "string", nullable: true } },
  { name: "amount", type: { kind: "float64", nullable: false } },
  { name: "country", type: { kind: "string", nullable: true } },
  { name: "channel", type: { kind: "one_of", nullable: false, values: ["chip", "contactless", "online"] } },
  { name: "items", type: { kind: "int32", nullable: true } },
  { name: "declined", type: { kind: "bool", nullable: false } },
  { name: "risk", type: { kind: "float64", nullable: true } },
];
const names = columns.map((column) => column.name);
const decoder = compileMessageDecoder(columns, { eventTime: "authorized_at" });

/** One row's values as JSON writes them. */
function row(index: number): readonly unknown[] {
  return [
    new Date(START + index * 100).toISOString(),
    `tx_${index}`,
    (index * 7919) % 100_000,
    `merchant ${index % 300}`,
    ((index * 7129) % 100_000) / 100,
    "CH",
    ["chip", "contactless", "online"][index % 3],
    index % 9,
    index % 50 === 0,
    (index % 1000) / 1000,
  ];
}

type Order = "ordered" | "shuffled";

/** A fixed permutation, so that the file is in no order at all. */
function place(index: number, rows: number, order: Order): number {
  return order === "ordered" ? index : (index * 7_368_787) % rows;
}

async function* lines(rows: number, format: "jsonl" | "csv", order: Order): AsyncGenerator<string> {
  if (format === "csv") yield `${names.join(",")}\n`;
  for (let at = 0; at < rows; at += 1000) {
    let block = "";
    for (let i = at; i < Math.min(rows, at + 1000); i++) {
      const values = row(place(i, rows, order));
      if (format === "csv") block += `${values.join(",")}\n`;
      else block += `${JSON.stringify(Object.fromEntries(names.map((name, k) => [name, values[k]])))}\n`;
    }
    yield block;
  }
}

async function runCase(path: string): Promise<void> {
  let messages = 0;
  let newest = 0;
  let peak = 0;
  const started = performance.now();
  await streamIngestion({
    source: "transactions",
    reader: fileReplay({ paths: [path], columns, eventTime: "authorized_at" }),
    decode: decoder.decode,
    eventTimeIndex: 0,
    futureBoundMs: 300_000,
    resume: async () => ({ offset: -1, cursor: null }),
    handler: async (batch) => {
      messages += batch.messages.length;
      for (const message of batch.messages) {
        if (message.eventTime < newest) throw new RangeError("Rows came out of order.");
        newest = message.eventTime;
      }
      peak = Math.max(peak, process.memoryUsage.rss());
    },
  }).run();
  const seconds = (performance.now() - started) / 1000;
  process.stdout.write(JSON.stringify({ messages, seconds, peak }));
}

function decodeAlone(): void {
  const texts = Array.from({ length: 10_000 }, (_, index) => {
    const values = row(index);
    return JSON.stringify(Object.fromEntries(names.map((name, k) => [name, values[k]])));
  });
  const records = texts.map((text) => JSON.parse(text) as Readonly<Record<string, unknown>>);
  const nanoseconds = (work: () => void): number => {
    const times = Array.from({ length: 30 }, () => {
      const started = performance.now();
      work();
      return ((performance.now() - started) * 1e6) / texts.length;
    });
    return Math.round(times.sort((a, b) => a - b)[15]!);
  };
  const rows = nanoseconds(() => {
    for (const record of records) decoder.rows.decode(record);
  });
  const parse = nanoseconds(() => {
    for (const text of texts) JSON.parse(text);
  });
  const whole = nanoseconds(() => {
    for (const text of texts) decoder.decodeValue(text);
  });
  console.log(`decode ten columns of an object  ${rows} ns/row (median)`);
  console.log(`JSON.parse alone                 ${parse} ns/row`);
  console.log(`parse and decode JSON text       ${whole} ns/row`);
}

async function main(rows: number): Promise<void> {
  console.log(`${cpus()[0]?.model ?? "unknown processor"}, ${availableParallelism()} cores, Node ${process.version}`);
  decodeAlone();
  const folder = await mkdtemp(join(tmpdir(), "millrace-benchmark-"));
  try {
    for (const [format, order, gzip] of [
      ["jsonl", "ordered", false],
      ["csv", "ordered", false],
      ["jsonl", "ordered", true],
      ["jsonl", "shuffled", false],
    ] as const) {
      const path = join(folder, `rows.${format}${gzip ? ".gz" : ""}`);
      const text = lines(rows, format, order);
      if (gzip) await pipeline(text, createGzip(), createWriteStream(path));
      else await pipeline(text, createWriteStream(path));
      const results = Array.from({ length: RUNS }, () => {
        const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--case", path], { encoding: "utf8" });
        if (run.status !== 0) throw new TypeError(run.stderr);
        return JSON.parse(run.stdout) as { messages: number; seconds: number; peak: number };
      });
      const rates = results.map((result) => result.messages / result.seconds).sort((a, b) => a - b);
      const thousands = (rate: number | undefined): string => `${Math.round((rate ?? 0) / 1000)}k`;
      const peak = Math.round(Math.max(...results.map((result) => result.peak)) / 2 ** 20);
      const bytes = Math.round((await stat(path)).size / rows);
      console.log(
        `${`${format}${gzip ? ".gz" : ""} ${order}`.padEnd(18)} ${bytes} B/row  ${thousands(rates[1])} rows/s ` +
          `(${thousands(rates[0])}–${thousands(rates[2])})  peak ${peak} MiB`,
      );
      await rm(path);
    }
  } finally {
    await rm(folder, { recursive: true });
  }
}

const [first, second] = process.argv.slice(2);
if (first === "--case") await runCase(second ?? "");
else await main(first === undefined ? 1_000_000 : Number(first));
