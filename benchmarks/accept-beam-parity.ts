import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as declared from "../examples/flight_delays/features.ts";
import { type ProducedRow, produceRows } from "../integration/beam/produce-rows.ts";
import { kafkaCluster } from "../integration/services/kafka-cluster.ts";
import { startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { beamHost } from "../src/feature_engineering/beam/beam-host.ts";
import { EMBEDDED_FLINK, flinkStreamOptions } from "../src/feature_engineering/beam/flink-options.ts";
import { type BeamProgress, type RunningBeamJob, runBeamJob } from "../src/feature_engineering/beam/run-beam-job.ts";
import { metaNames } from "../src/feature_engineering/engine/meta-names.ts";
import { collectDeclarations, type Declarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import { memoryOfflineStore } from "../src/feature_store/offline/memory-offline-store.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { beamFile } from "../src/pipeline/beam-files.ts";
import { type BeamJobSource, beamJob, prepareHistory } from "../src/pipeline/beam-jobs.ts";
import { beamStream } from "../src/pipeline/beam-streams.ts";
import { createPipeline } from "../src/pipeline/pipeline.ts";
import { type Comparison, compareValues, createComparison } from "../test/feature_engineering/beam/compare-values.ts";

const FLINK = [...EMBEDDED_FLINK, "--parallelism=2"];
const DEADLINE_MS = 90_000;

/**
 * Acceptance: the flights of the example through the embedded engine, through Beam in batch, and through Beam as a stream
 * from Kafka, into Redis and PostgreSQL: every tile and every value is compared, and the events of history counted.
 */
export async function run(): Promise<void> {
  const declarations = collectDeclarations(declared);
  const [redis, postgres, kafka] = [await startRedis(), await startPostgres(), await kafkaCluster()];
  const log = memoryOfflineStore();
  const reference = memoryOnlineStore();
  const pipeline = createPipeline({ ...declarations, online: reference, offline: log });
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-parity-"));
  const state = pathToFileURL(folder).href;
  try {
    let started = performance.now();
    await pipeline.recover();
    await pipeline.start();
    await pipeline.finished();
    // Else it goes on, and sweeps what no window needs any more.
    await pipeline.close();
    print("embedded engine", seconds(started));
    const host = await beamHost({ onBuild: (what) => process.stderr.write(`${what}\n`) });
    let failed = 0;
    for (const how of ["batch", "stream"] as const) {
      const online = { store: "redis" as const, url: `redis://127.0.0.1:${redis.port}`, keyPrefix: `${how}:` };
      const offline = { store: "postgres" as const, url: await postgres.createDatabase() };
      const sources =
        how === "batch" ? await fileSources(declarations) : await kafkaSources(declarations, log, kafka.brokers);
      const cold = await postgresOfflineStore(offline);
      const hot = await redisOnlineStore(online);
      const options = { declarations, online, offline, generation: 1, script: host.script, sources };
      await prepareHistory(options, cold);
      started = performance.now();
      const running = await runBeamJob(host, beamJob(options), {
        options: how === "batch" ? FLINK : [...FLINK, ...flinkStreamOptions({ state, savepoint: null })],
      });
      let compared = createComparison();
      if (how === "batch") await running.ended;
      const events = await eventsOf(log, declarations);
      if (how === "stream") await untilRead(running, events.length);
      for (const until = Date.now() + DEADLINE_MS; ; ) {
        compared = createComparison();
        for (const view of declarations.views) {
          const clock = Number((await reference.readMeta([metaNames.clock(view.source.name)]))[0]);
          await compareValues(view, reference, hot, clock, [clock, clock + 3_600_000], compared);
        }
        if (how === "batch" || compared.mismatches === 0 || Date.now() > until) break;
      }
      print(`Beam ${how} on Flink`, seconds(started));
      if (how === "stream") {
        running.kill("SIGKILL");
        await running.ended.catch(() => {});
      }
      const kept = await eventsOf(cold, declarations);
      failed += report(how, compared, events, kept);
      await hot.close();
      await cold.close();
    }
    if (failed > 0) process.exitCode = 1;
  } finally {
    await Promise.all([redis.remove(), postgres.remove(), kafka.close()]);
    await rm(folder, { recursive: true, force: true });
  }
}

async function fileSources(declarations: Declarations): Promise<BeamJobSource[]> {
  const found: BeamJobSource[] = [];
  for (const source of declarations.sources) {
    if (source.connector.connector !== "file_replay") continue;
    const files = await Promise.all(source.connector.paths.map((path) => beamFile(path)));
    found.push({ source, input: { files }, cells: "text", nulls: source.connector.nullTexts });
  }
  return found;
}

async function kafkaSources(
  declarations: Declarations,
  log: OfflineStore,
  brokers: readonly string[],
): Promise<BeamJobSource[]> {
  const found: BeamJobSource[] = [];
  for (const meta of declarations.sources) {
    const source = {
      ...meta,
      connector: { connector: "kafka", cluster: "default", topics: [meta.name], group: null, start: "earliest" },
    } as const;
    const rows: ProducedRow[] = [];
    for (const { partitionId, committed } of await log.partitions(meta.name)) {
      for await (const events of log.read(meta.name, partitionId, -1, committed)) {
        for (const { row, ingestedAt } of events) {
          const record = Object.fromEntries(meta.columns.map((column, index) => [column.name, row[index]]));
          rows.push({ value: JSON.stringify(record), arrival: Math.max(0, ingestedAt), partition: rows.length % 2 });
        }
      }
    }
    await produceRows(brokers, meta.name, rows, 2);

    found.push({ source: meta, input: beamStream(source, { kafka: { default: { brokers } } }, null) });
  }
  return found;
}

/** Time and payload hash of every event in history, sorted. */
async function eventsOf(store: OfflineStore, { sources }: Declarations): Promise<readonly string[]> {
  const found: string[] = [];
  for (const { name } of sources) {
    for (const { partitionId, committed } of await store.partitions(name)) {
      for await (const events of store.read(name, partitionId, -1, committed)) {
        for (const { eventTime, hash0, hash1, hash2, hash3 } of events) {
          found.push([name, eventTime, hash0, hash1, hash2, hash3].join());
        }
      }
    }
  }
  return found.sort();
}

async function untilRead(job: RunningBeamJob, events: number): Promise<void> {
  const read = (progress: BeamProgress | null): number =>
    Object.values(progress?.counters ?? {}).reduce((sum, one) => sum + (one.events ?? 0), 0);
  for (const until = Date.now() + DEADLINE_MS; read(job.progress()) < events && Date.now() < until; ) {
    await Promise.race([job.ended, new Promise((resolve) => setTimeout(resolve, 250))]);
  }
}

function report(how: string, compared: Comparison, events: readonly string[], kept: readonly string[]): number {
  const strange = kept.filter((event, index) => event !== events[index]).length + Math.abs(events.length - kept.length);
  print(`${how}: events, and those in PostgreSQL`, `${events.length}, ${kept.length}`, "equal");
  print(`${how}: events that differ`, String(strange), "0");
  print(`${how}: entities, tiles, values`, `${compared.entities}, ${compared.tiles}, ${compared.values}`);
  print(`${how}: mismatches`, String(compared.mismatches), "0");
  for (const example of compared.examples) process.stdout.write(`  ${example}\n`);
  return compared.mismatches + strange;
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1_000).toFixed(1)} s`;
}

function print(what: string, figure: string, aim = ""): void {
  process.stdout.write(`${what.padEnd(44)} ${figure}${aim === "" ? "" : `   aim: ${aim}`}\n`);
}
