import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadDeclarations } from "../src/config/load-declarations.ts";
import type { FeatureViewMeta } from "../src/definitions/feature-view.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { produceRows } from "./beam/produce-rows.ts";
import { featuresOf } from "./beam/read-values.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

const INDEX = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const DEADLINE_MS = 120_000;
/** A full hour of yesterday. */
const MOMENT = Math.floor(Date.now() / 3_600_000 - 24) * 3_600_000;
const FEATURES = (note: string): string => `
import { count, entity, featureService, featureView, kafka, streamSource, sum, t } from ${INDEX};
export const card = entity("card", { card_id: t.string() });
export const clicks = streamSource("clicks", {
  stream: kafka({ topic: "clicks" }), eventTime: "at", lateness: "1m", id: "id",
  schema: { id: t.string(), card_id: t.string(), weight: t.float64(), note: ${note}, at: t.timestamp() },
});
export const clicking = featureView("clicking", {
  source: clicks, entity: card, features: { n: count().over("30d"), weight: sum(clicks.weight).over("30d") },
});
export const browsing = featureService("browsing", { features: { ...clicking } });
`;

let folder = "";
let clicking: FeatureViewMeta;
let redis: RedisServer;
let postgres: PostgresServer;
let kafka: KafkaCluster;
let database = "";
let env: Record<string, string> = {};
const children = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-beam-outages-"));
  await writeFile(join(folder, "features.ts"), FEATURES("t.string()"));
  await writeFile(
    join(folder, "millrace.config.ts"),
    'export default { declarations: "./features.ts", logLevel: "error", beam: { sources: ["clicks"], heapMegabytes: 1024 } };\n',
  );
  [clicking] = (await loadDeclarations([join(folder, "features.ts")])).views as [FeatureViewMeta];
  [redis, postgres, kafka] = await Promise.all([
    startRedis({ config: ["appendonly yes", "appendfsync always"] }),
    startPostgres(),
    kafkaCluster(),
  ]);
  const url = await postgres.createDatabase();
  database = new URL(url).pathname.slice(1);
  env = {
    MILLRACE_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    MILLRACE_POSTGRES_URL: url,
    MILLRACE_KAFKA_BROKERS: kafka.brokers.join(","),
  };
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  redis?.thaw();
  await Promise.all([redis?.remove(), postgres?.remove(), kafka?.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** Events of two cards, a second apart. */
function clicksOf(first: number, count: number, note: string | null = "ok"): string[] {
  return Array.from({ length: count }, (_, i) => {
    const n = first + i;
    const at = new Date(MOMENT + n * 1_000).toISOString();
    return JSON.stringify({ id: `e${n}`, card_id: n % 2 === 0 ? "a" : "b", weight: n, note, at });
  });
}

async function produce(lines: readonly string[], partitions: number | null = null): Promise<void> {
  const rows = lines.map((value) => ({ value, arrival: MOMENT + 3_600_000, partition: 0 }));
  await produceRows(kafka.brokers, "clicks", rows, partitions);
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

interface Running {
  readonly child: ChildProcess;
  err(): string;
  readonly ended: Promise<Ended>;
}

function start(args: readonly string[], own: Record<string, string> = {}): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { ...process.env, ...env, ...own },
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.add(child);
  let out = "";
  let err = "";
  child.stdout!.on("data", (data) => (out += data));
  child.stderr!.on("data", (data) => (err += data));
  const ended = new Promise<Ended>((resolve) => {
    child.once("close", (code) => {
      children.delete(child);
      resolve({ code, out, err });
    });
  });
  return { child, err: () => err, ended };
}

const stream = (checkpointEvery: number): Running =>
  start(["--json", "beam", "run", "--", `--checkpointingInterval=${checkpointEvery}`]);

/** Events and their sum by card, as the hot store gives them. */
async function found(): Promise<unknown> {
  await using online = await redisOnlineStore({ url: env.MILLRACE_REDIS_URL! });
  return Promise.all(
    ["a", "b"].map(async (card) => (await featuresOf(clicking, online, [card], Date.now())) ?? [0, 0]),
  );
}

/** What they must be of the events of these numbers. */
function wanted(numbers: readonly number[]): unknown {
  return [0, 1].map((card) => {
    const own = numbers.filter((n) => n % 2 === card);
    return [own.length, own.reduce((sum, n) => sum + n, 0)];
  });
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function stored(table: string): number {
  return Number(postgres.sql(`SELECT count(*) FROM millrace.${table}`, database));
}

async function until(job: Running, is: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (const deadline = Date.now() + DEADLINE_MS; !(await is()); ) {
    if (Date.now() > deadline) throw new RangeError(`not in time: ${what}\n${job.err()}`);
    const end = await Promise.race([pause(200), job.ended]);
    if (end !== undefined) throw new RangeError(`it ended before ${what}: ${end.err}`);
  }
}

async function untilValues(job: Running, numbers: readonly number[]): Promise<void> {
  const values = JSON.stringify(wanted(numbers));
  await until(job, async () => JSON.stringify(await found()) === values, values);
}

it("streams on through a first run that died, stores that are killed or frozen, and a producer's mistake: nothing lost, nothing twice", async () => {
  await produce(clicksOf(0, 40), 1);
  const first = stream(3_600_000);
  await untilValues(first, range(0, 40));
  first.child.kill("SIGKILL");
  await first.ended;

  const job = stream(1_000);
  await produce(clicksOf(40, 10));
  await untilValues(job, range(0, 50));
  expect(job.err()).toMatch(/clicks: the job ended before its first checkpoint, and begins again where it began/);

  await postgres.kill();
  await produce(clicksOf(50, 10));
  await until(
    job,
    () => /begins again from its last checkpoint: [\s\S]*Connection[\s\S]*refused/.test(job.err()),
    "PostgreSQL away",
  );
  await postgres.start();
  await untilValues(job, range(0, 60));
  await until(job, () => stored("events_clicks") === 60, "all events in history");

  await redis.kill();
  const said = job.err().length;
  await produce(clicksOf(60, 10));
  await until(job, () => /begins again [\s\S]*(Jedis|connection)/i.test(job.err().slice(said)), "Redis away");
  await redis.start();
  await untilValues(job, range(0, 70));

  redis.freeze();
  await produce(clicksOf(70, 10));
  await until(job, () => stored("events_clicks") === 80, "history beside a frozen Redis");
  redis.thaw();
  await untilValues(job, range(0, 80));

  // A field that becomes null, and good events behind it.
  await produce([...clicksOf(80, 1_500, null), ...clicksOf(1_580, 20)]);
  const stopped = await job.ended;
  expect(stopped.err).toMatch(/^DEAD_LETTER_THRESHOLD: The source "clicks" was stopped: .*more than 50%.*note/m);
  expect(stopped.code).toBe(2);
  await writeFile(join(folder, "features.ts"), FEATURES("t.string().nullable()"));
  const mended = stream(1_000);
  await until(mended, () => stored("events_clicks") + stored("dead_letters") === 1_600, "all read again");
  expect(stored("dead_letters")).toBeLessThan(500);
  const letters = postgres.sql('SELECT "offset" FROM millrace.dead_letters', database).split("\n").filter(Boolean);
  const bad = new Set(letters.map(Number));
  await untilValues(
    mended,
    range(0, 1_600).filter((n) => !bad.has(n)),
  );
  mended.child.kill("SIGTERM");
  const end = await mended.ended;
  expect(end.code, end.err).toBe(0);
}, 600_000);
