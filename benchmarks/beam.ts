import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { finished } from "node:stream/promises";
import { parseArgs } from "node:util";
import { type PostgresServer, startPostgres } from "../integration/services/postgres-server.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { Meta } from "../src/definitions/meta.ts";
import { type BeamHost, beamHost } from "../src/feature_engineering/beam/beam-host.ts";
import { runBeamJob } from "../src/feature_engineering/beam/run-beam-job.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { beamFile } from "../src/pipeline/beam-files.ts";
import { beamJob, prepareHistory } from "../src/pipeline/beam-jobs.ts";
import { buildByHand } from "./beam/by-hand.ts";
import { compareByHand } from "./beam/compare-by-hand.ts";
import { measureFirstTile } from "./beam/first-tile.ts";
import { measureEmbedded } from "./beam/measure-embedded.ts";
import { runByHand } from "./beam/run-by-hand.ts";
import { type WatchedUsage, watchProcess } from "./beam/watch-process.ts";
import { cardView, deviceView, merchantView, paymentLine, paymentStream, payments, views } from "./payments.ts";

/** As many as a folder of history has: one file is read by one worker. */
const FILES = 8;
const HEAP_MEGABYTES = 2_048;

/** After how many payments the pipeline by hand hands on tiles: so that bundles stay small, and so that one is enough. */
const AT_ONCE = { small: 20_000, large: 500_000 } as const;

/**
 * A million payments of about 200 bytes from files, into three views of four aggregations and three windows in Redis (with
 * `--history` also into PostgreSQL): the embedded engine, Millrace on Beam, and the same pipeline written by hand in Java
 * (`benchmarks/beam/`), on an embedded Flink at parallelism 1 and 2. Events per second are net of what the same job takes
 * for one event, which is the start of the JVM and of Flink. Then how long `millrace beam run` takes to its first tile.
 *
 * The hand-written pipeline decodes the same columns of the same files, folds bundles before it shuffles, groups once by
 * entity, keeps exact sums and writes by compare-and-set on a revision, all as Millrace does; neither drops repeated
 * events here, as the source declares no id. By hand what cannot be decoded is only counted, as by Millrace where there
 * is no history. It is spared what Millrace does beyond: expiry and pruning of tiles, and the ledger of generations, by
 * which a repeated job changes nothing. It is measured twice: with tiles that are handed on after 20,000 payments, and
 * after 500,000, which takes it less to shuffle and more memory; Millrace hands on when 400,000 tiles are there.
 *
 * `[--events N] [--entities N] [--history] [--parallelism 1,2] [--rounds N] [--short] [--no-start]`: `--short` is 300,000
 * events at parallelism 1, and no first tile.
 */
export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      events: { type: "string", default: "1000000" },
      entities: { type: "string", default: "10000" },
      parallelism: { type: "string", default: "1,2" },
      rounds: { type: "string", default: "1" },
      history: { type: "boolean", default: false },
      short: { type: "boolean", default: false },
      start: { type: "boolean", default: true },
    },
    allowNegative: true,
  });
  const [events, entities] = [values.short ? 300_000 : Number(values.events), Number(values.entities)];
  const folder = await mkdtemp(join(tmpdir(), "millrace-bench-beam-"));
  const redis = await startRedis();
  const postgres = values.history ? await startPostgres({ settings: { max_wal_size: "8GB" } }) : null;
  try {
    const host = await beamHost({ onBuild: say });
    const byHand = buildByHand(host, folder);
    const many = await writePayments(join(folder, "many"), events, entities, FILES);
    const one = await writePayments(join(folder, "one"), 1, entities, 1);
    say(await sizeOf(host));
    const embedded = await measureEmbedded(many, redis, postgres);
    line("embedded engine", embedded, events, 0);
    const world: World = { host, byHand, redisPort: redis.port, postgres };
    for (const parallelism of values.short ? [1] : values.parallelism.split(",").map(Number)) {
      const job = { one, many, parallelism };
      for (let round = 0; round < Number(values.rounds); round++) {
        const name = `parallelism ${parallelism}, `;
        const hand = await contest(world, byHandOf("small"), job);
        line(`${name}by hand in Java`, hand, events, hand.startSeconds);
        const own = await contest(world, runMillrace, job);
        line(`${name}Millrace`, own, events, own.startSeconds);
        const large = await contest(world, byHandOf("large"), job);
        line(`${name}by hand, large bundles`, large, events, large.startSeconds);
        for (const [what, other] of [
          ["pipeline by hand", hand],
          ["one with large bundles", large],
        ] as const) {
          const share = (other.seconds - other.startSeconds) / (own.seconds - own.startSeconds);
          const cpu = (other.cpuSeconds - other.startCpuSeconds) / (own.cpuSeconds - own.startCpuSeconds);
          say(`  of the ${what}: ${percent(share)} of its events/s, by CPU time ${percent(cpu)} (aim: 80%)`);
        }
        await compare(redis.port, own.prefix, hand.prefix, events);
        await compare(redis.port, own.prefix, large.prefix, events);
        redis.cli("flushall");
      }
    }
    if (values.start && !values.short) {
      const { coldSeconds, warmSeconds } = await measureFirstTile(host, redis);
      say(
        `millrace beam run to its first tile: ${warmSeconds.toFixed(1)} s, without the JVM's archive of classes ${coldSeconds.toFixed(1)} s`,
      );
    }
  } finally {
    await Promise.all([redis.remove(), postgres?.remove()]);
    await rm(folder, { recursive: true, force: true });
  }
}

interface World {
  readonly host: BeamHost;
  readonly byHand: string;
  readonly redisPort: number;
  readonly postgres: PostgresServer | null;
}

interface Contested extends WatchedUsage {
  readonly startSeconds: number;
  readonly startCpuSeconds: number;
  readonly prefix: string;
}

interface Job {
  /** Folders: of one event, and of all. */
  readonly one: string;
  readonly many: string;
  readonly parallelism: number;
}

type Contestant = (world: World, files: string, parallelism: number, prefix: string) => Promise<WatchedUsage>;

/** What one event takes, then what all take. */
async function contest(world: World, contestant: Contestant, { one, many, parallelism }: Job): Promise<Contested> {
  const prefix = `${contestant.name}:${parallelism}:`;
  const start = await contestant(world, one, parallelism, `one:${prefix}`);
  const all = await contestant(world, many, parallelism, prefix);
  return { ...all, startSeconds: start.seconds, startCpuSeconds: start.cpuSeconds, prefix };
}

function byHandOf(size: keyof typeof AT_ONCE): Contestant {
  const contestants: Record<keyof typeof AT_ONCE, Contestant> = {
    small: (world, ...job) => runHandWritten(AT_ONCE.small, world, ...job),
    large: (world, ...job) => runHandWritten(AT_ONCE.large, world, ...job),
  };
  return contestants[size];
}

async function runHandWritten(
  atOnce: number,
  { host, byHand, redisPort, postgres }: World,
  files: string,
  parallelism: number,
  prefix: string,
): Promise<WatchedUsage> {
  const history = postgres === null ? null : await postgres.createDatabase();
  if (postgres !== null && history !== null) {
    const table =
      "CREATE TABLE payments_by_hand (payment_id text, card_id text, merchant_id text, device_id text, amount float8, country text, at timestamptz)";
    postgres.sql(table, new URL(history).pathname.slice(1));
  }
  const { pid, ended } = runByHand(host.java, byHand, {
    ...{ files: join(files, "*.jsonl"), redisPort, prefix, parallelism, heapMegabytes: HEAP_MEGABYTES },
    ...{ history, atOnce },
  });
  return watchProcess(pid, ended);
}

async function runMillrace(
  { host, redisPort, postgres }: World,
  files: string,
  parallelism: number,
  prefix: string,
): Promise<WatchedUsage> {
  const declarations = collectDeclarations({ cardView, merchantView, deviceView });
  const offline = postgres === null ? null : { store: "postgres" as const, url: await postgres.createDatabase() };
  const paths = (await readdir(files)).map((file) => join(files, file));
  const input = { files: await Promise.all(paths.map((path) => beamFile(path))) };
  const options = {
    ...{ declarations, offline, generation: 1, script: host.script },
    online: { store: "redis" as const, url: `redis://127.0.0.1:${redisPort}`, keyPrefix: prefix },
    sources: [{ source: payments[Meta], input }],
  };
  if (offline !== null) {
    const store = await postgresOfflineStore(offline);
    await prepareHistory(options, store);
    await store.close();
  }
  const running = await runBeamJob(host, beamJob(options), {
    options: ["--runner=FlinkRunner", "--flinkMaster=[local]", `--parallelism=${parallelism}`],
    heapMegabytes: HEAP_MEGABYTES,
  });
  return watchProcess(running.pid, running.ended);
}

async function compare(redisPort: number, prefix: string, handPrefix: string, events: number): Promise<void> {
  const store = await redisOnlineStore({ url: `redis://127.0.0.1:${redisPort}`, keyPrefix: prefix });
  try {
    const time = Date.UTC(2026, 0, 1) + events * 5;
    const { values, mismatches, examples } = await compareByHand(views, store, redisPort, handPrefix, time);
    say(`  ${values} values compared, mismatches: ${mismatches} (aim: 0)`);
    for (const example of examples) say(`    ${example}`);
    if (mismatches > 0) process.exitCode = 1;
  } finally {
    await store.close();
  }
}

function line(name: string, usage: WatchedUsage, events: number, startSeconds: number): void {
  const { seconds, cpuSeconds, peakMiB } = usage;
  const rate = Math.round(events / (seconds - startSeconds)).toLocaleString("en");
  const start = startSeconds === 0 ? "" : `, of which start ${startSeconds.toFixed(1)} s`;
  say(
    `${name.padEnd(32)} ${rate} events/s (${seconds.toFixed(1)} s${start}), CPU ${cpuSeconds.toFixed(1)} s, at most ${peakMiB} MiB`,
  );
}

async function sizeOf(host: BeamHost): Promise<string> {
  const jar = host.classPath.split(delimiter)[0]!;
  const lib = join(dirname(jar), "lib");
  const files = await readdir(lib);
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(lib, file))).size));
  const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  return `host jar ${Math.round((await stat(jar)).size / 1_000)} kB, script ${Math.round(host.script.length / 1_000)} kB, ${files.length} libraries ${megabytes(total)}`;
}

async function writePayments(folder: string, events: number, entities: number, files: number): Promise<string> {
  await mkdir(folder);
  const outs = Array.from({ length: files }, (_, index) => createWriteStream(join(folder, `${index}.jsonl`)));
  const each = Math.ceil(events / files);
  let index = 0;
  let block = "";
  for (const row of paymentStream(events, entities)) {
    block += paymentLine(row);
    if (++index % each === 0 || index === events) {
      outs[Math.ceil(index / each) - 1]!.end(block);
      block = "";
    }
  }
  await Promise.all(outs.map((out) => finished(out)));
  return folder;
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
