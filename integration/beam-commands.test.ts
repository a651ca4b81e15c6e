import { type ChildProcess, spawn } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { produceRows } from "./beam/produce-rows.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

const INDEX = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const DEADLINE_MS = 90_000;
const MOMENT = "2026-03-01T00:00:00Z";
const FEATURES = (more: string): string => `
import { count, entity, featureService, featureView, kafka, latest, streamSource, sum, t } from ${INDEX};
export const card = entity("card", { card_id: t.string() });
export const clicks = streamSource("clicks", {
  stream: kafka({ topic: "clicks" }), eventTime: "at", clock: "stream", lateness: "1m", id: "id",
  schema: { id: t.string(), card_id: t.string(), weight: t.float64(), at: t.timestamp() },
});
export const clicking = featureView("clicking", {
  source: clicks, entity: card, features: { n: count().over("30d"), weight: sum(clicks.weight).over("30d") },
});
${more}
export const browsing = featureService("browsing", { features: { ...clicking } });
`;
const NEWEST = `export const newest = featureView("newest", { source: clicks, entity: card, features: { last: latest(clicks.weight) } });
export const latest_click = featureService("latest_click", { features: { ...newest } });`;

let folder = "";
let redis: RedisServer;
let postgres: PostgresServer;
let kafka: KafkaCluster;
let env: Record<string, string> = {};
const children = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-beam-commands-"));
  await writeFile(join(folder, "features.ts"), FEATURES(""));
  await writeFile(
    join(folder, "millrace.config.ts"),
    'export default { declarations: "./features.ts", logLevel: "error", beam: { sources: ["clicks"], heapMegabytes: 1024 } };\n',
  );
  [redis, postgres, kafka] = await Promise.all([startRedis(), startPostgres(), kafkaCluster()]);
  env = {
    MILLRACE_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    MILLRACE_POSTGRES_URL: await postgres.createDatabase(),
    MILLRACE_KAFKA_BROKERS: kafka.brokers.join(","),
  };
  // The events of before the moment are in the topic too.
  const rows = Array.from({ length: 60 }, (_, i) => event(i));
  await writeFile(join(folder, "history.jsonl"), `${rows.slice(0, 40).map(textOf).join("\n")}\n`);
  await produce(rows, 1);
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all([redis?.remove(), postgres?.remove(), kafka?.close()]);
  await rm(folder, { recursive: true, force: true });
});

interface Click {
  readonly id: string;
  readonly card_id: string;
  readonly weight: number;
  readonly at: string;
}

/** Thirty events before the moment, one a minute, the others from it on. */
function event(i: number): Click {
  return {
    ...{ id: `e${i}`, card_id: i === 45 ? "c" : i % 2 === 0 ? "a" : "b", weight: i },
    at: new Date(Date.parse(MOMENT) + (i - 30) * 60_000).toISOString(),
  };
}

const textOf = (click: Click): string => JSON.stringify(click);

async function produce(clicks: readonly Click[], partitions: number | null): Promise<void> {
  const rows = clicks.map((click) => ({ value: textOf(click), arrival: Date.parse(click.at), partition: 0 }));
  await produceRows(kafka.brokers, "clicks", rows, partitions);
}

interface Ended {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

function start(
  args: readonly string[],
  own: Record<string, string> = {},
): { child: ChildProcess; err(): string; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: { ...process.env, ...env, ...own },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
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

const millrace = (...args: string[]): Promise<Ended> => start(args).ended;

/** A card's features by the command that reads the hot store. */
async function read(service: string, card: string): Promise<unknown> {
  const { out, err, code } = await millrace("get", service, `card_id=${card}`, "--json");
  expect(code, err).toBe(0);
  return JSON.parse(out);
}

async function until<T>(ask: () => Promise<T>, wanted: (found: T) => boolean, ended: Promise<Ended>): Promise<T> {
  for (const deadline = Date.now() + DEADLINE_MS; ; ) {
    const found = await ask();
    if (wanted(found) || Date.now() > deadline) return found;
    const end = await Promise.race([pause(250), ended]);
    if (end !== undefined) throw new TypeError(`it ended: ${end.err}`);
  }
}

it("explains the pipeline, to people and as JSON", async () => {
  const { code, out } = await millrace("beam", "explain");
  expect(code).toBe(0);
  expect(out).toMatch(/clicks \(kafka\)[\s\S]*distinct[\s\S]*views clicking[\s\S]*→ Redis/);
  const [described] = JSON.parse((await millrace("--json", "beam", "explain", "--source", "clicks")).out) as [
    { source: string; pipeline: { has_id: boolean } },
  ];
  expect(described).toMatchObject({ source: "clicks", pipeline: { has_id: true } });
});

it("says what is missing, and what to do", async () => {
  const bin = join(folder, "old", "bin");
  await mkdir(bin, { recursive: true });
  await writeFile(join(bin, "java"), "#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n");
  await chmod(join(bin, "java"), 0o755);
  // A Java that only tells its version, and nothing that was built before.
  const fit = join(folder, "fit", "bin");
  await mkdir(fit, { recursive: true });
  await writeFile(join(fit, "java"), "#!/bin/sh\necho 'openjdk version \"17.0.1\"' >&2\n");
  await chmod(join(fit, "java"), 0o755);
  const backfill = ["beam", "backfill", "--files", "history.jsonl"];
  const cases: [string[], Record<string, string>, RegExp][] = [
    [backfill, { JAVA_HOME: join(folder, "nowhere") }, /^JAVA_MISSING: Beam needs Java 17.*set JAVA_HOME/m],
    [backfill, { JAVA_HOME: join(folder, "old") }, /^JAVA_MISSING: .* is version 11/m],
    [
      backfill,
      { JAVA_HOME: join(folder, "fit"), XDG_CACHE_HOME: join(folder, "cache"), PATH: fit },
      /^MAVEN_MISSING: .*install it/m,
    ],
    [backfill, { MILLRACE_REDIS_URL: "redis://127.0.0.1:1" }, /^ONLINE_STORE_UNAVAILABLE: /m],
    [backfill, { MILLRACE_POSTGRES_URL: "postgres://127.0.0.1:1/none" }, /^OFFLINE_STORE_UNAVAILABLE: /m],
    [["beam", "backfill", "--files", "none.jsonl"], {}, /^FILE_NOT_FOUND: /m],
    [["beam", "run", "--source", "clock"], {}, /^OPTION_INVALID: .*clicks/m],
    [["beam", "run", "--from", "yesterday"], {}, /^TIME_INVALID: /m],
  ];
  await Promise.all(
    cases.map(async ([args, own, wanted]) => {
      const { code, err, out } = await start(args, own).ended;
      expect(err).toMatch(wanted);
      expect([code, out]).toEqual([2, ""]);
    }),
  );
});

it("backfills files up to a moment, streams from it, ends with a savepoint, and goes on under a changed plan", async () => {
  const filled = await millrace("--json", "beam", "backfill", "--files", "history.jsonl", "--until", MOMENT);
  expect(filled.code, filled.err).toBe(0);
  expect(JSON.parse(filled.out)).toMatchObject({
    ...{ source: "clicks", generation: 1, state: "done" },
    counters: { clicks: { events: 30 } },
  });
  expect(filled.err).toMatch(/clicks: running/);
  expect(await read("browsing", "a")).toMatchObject({ rows: [[15, 210]] });
  const overlap = await millrace("beam", "backfill", "--files", "history.jsonl");
  expect([overlap.code, overlap.err]).toEqual([2, expect.stringMatching(/^BEAM_GENERATIONS_OVERLAP: /)]);

  // The embedded engine must not write beside it.
  await writeFile(
    join(folder, "plain.config.ts"),
    'export default { declarations: "./features.ts", logLevel: "error" };\n',
  );
  const [ingest, materialize] = await Promise.all([
    start(["--config", "plain.config.ts", "ingest"], { MILLRACE_PORT: "0" }).ended,
    millrace("materialize", "clicking"),
  ]);
  expect([ingest.code, ingest.err]).toEqual([2, expect.stringMatching(/^VIEW_OF_BEAM: /m)]);
  expect([materialize.code, materialize.err]).toEqual([2, expect.stringMatching(/^SOURCE_OF_BEAM: /m)]);

  const streaming = start(["--json", "beam", "run", "--metrics", "0"]);
  const isWhole = (n: number, weight: number) => (found: unknown) =>
    JSON.stringify((found as { rows: unknown }).rows) === JSON.stringify([[n, weight]]);
  const all = await until(() => read("browsing", "a"), isWhole(30, 870), streaming.ended);
  expect(all).toMatchObject({ rows: [[30, 870]] });
  const url = /Metrics at (\S+)/.exec(streaming.err())![1]!;
  const scraped = await (await fetch(url)).text();
  expect(scraped).toMatch(/millrace_beam_events_total\{source="clicks"\} 30\n/);
  expect(scraped).toMatch(/millrace_beam_newest_event_timestamp_seconds\{source="clicks"\} 17/);
  streaming.child.kill("SIGTERM");
  const stopped = await streaming.ended;
  expect(stopped.code, stopped.err).toBe(0);
  const { savepoint } = JSON.parse(stopped.out) as { savepoint: string };
  expect(savepoint).toMatch(/^file:/);

  await writeFile(join(folder, "features.ts"), FEATURES(NEWEST));
  await produce(
    Array.from({ length: 10 }, (_, i) => event(60 + i)),
    null,
  );
  const resumed = start(["--json", "beam", "run"]);
  expect(await until(() => read("browsing", "a"), isWhole(35, 1_190), resumed.ended)).toMatchObject({
    rows: [[35, 1_190]],
  });
  expect(await read("latest_click", "b")).toMatchObject({ rows: [[69]] });
  // Nothing was read again: a new view begins where the job went on.
  expect(await read("latest_click", "c")).toMatchObject({ rows: [[null]], statuses: [["NOT_FOUND"]] });
  // As Ctrl-C in a terminal does: the JVM is not of the group.
  process.kill(-resumed.child.pid!, "SIGINT");
  const again = await resumed.ended;
  expect(again.code, again.err).toBe(0);
  expect(JSON.parse(again.out)).toMatchObject({ generation: 2, counters: { clicks: { events: 10 } } });

  await rm(join(folder, ".millrace"), { recursive: true, force: true });
  const lost = await millrace("beam", "run");
  expect([lost.code, lost.err]).toEqual([2, expect.stringMatching(/^BEAM_STATE_MISSING: .*--replay/m)]);
}, 240_000);
