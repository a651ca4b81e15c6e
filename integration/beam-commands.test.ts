import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DASHBOARDS } from "../scripts/monitoring/dashboards.ts";
import { metricNames } from "../scripts/monitoring/metric-names.ts";
import { loadDeclarations } from "../src/config/load-declarations.ts";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { produceRows } from "./beam/produce-rows.ts";
import { featuresOf } from "./beam/read-values.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";
import { spawnService } from "./services/spawn-service.ts";

const INDEX = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const DEADLINE_MS = 90_000;
/** A full hour of yesterday: events may be late, and none is of the future. */
const MOMENT = new Date(Math.floor(Date.now() / 3_600_000 - 24) * 3_600_000).toISOString();
const FEATURES = (more: string): string => `
import { count, entity, featureService, featureView, kafka, latest, streamSource, sum, t } from ${INDEX};
export const card = entity("card", { card_id: t.string() });
export const clicks = streamSource("clicks", {
  stream: kafka({ topic: "clicks" }), eventTime: "at", lateness: "1m", id: "id",
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

/** More than half of a thousand, at the end of the files. */
const BAD = 600;

let folder = "";
/** Of the declarations' file, which changes. */
let revision = 0;
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
  const bad = Array.from({ length: BAD }, () => JSON.stringify({ ...event(0), weight: null }));
  await writeFile(join(folder, "history.jsonl"), `${[...rows.slice(0, 40).map(textOf), ...bad].join("\n")}\n`);
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

/** Thirty events before the moment, one a minute, the next at it, the others behind it. */
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
  const child = spawnService(process.execPath, [MAIN, ...args], {
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

/** A card's features as the hot store has them, for waiting: a command at each look would take what the job needs. */
async function glance(view: string, card: string): Promise<unknown> {
  await using online = await redisOnlineStore({ url: env.MILLRACE_REDIS_URL! });
  const { views } = await loadDeclarations([join(folder, "features.ts")], revision);
  const runtime = views.find(({ name }) => name === view)!;
  return featuresOf(runtime, online, [card], Date.now());
}

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
  await writeFile(join(folder, "elsewhere.ts"), FEATURES("").replace('topic: "clicks"', 'topic: "elsewhere"'));
  await writeFile(
    join(folder, "elsewhere.config.ts"),
    'export default { declarations: "./elsewhere.ts", logLevel: "error", beam: { sources: ["clicks"] } };\n',
  );
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
    [[...backfill, "--from", MOMENT, "--until", MOMENT], {}, /^OPTION_INVALID: .*no event is between/m],
    [["beam", "explain", "--source", "clock"], {}, /^SOURCE_UNKNOWN: .*clicks/m],
    [["--config", "elsewhere.config.ts", "beam", "run"], {}, /^KAFKA_TOPIC_UNKNOWN: .*elsewhere/m],
    [["beam", "run"], { MILLRACE_KAFKA_BROKERS: "127.0.0.1:1" }, /^KAFKA_UNAVAILABLE: /m],
  ];
  await Promise.all(
    cases.map(async ([args, own, wanted]) => {
      const { code, err, out } = await start(args, own).ended;
      expect(err).toMatch(wanted);
      expect([code, out]).toEqual([2, ""]);
    }),
  );
});

it("backfills files up to a moment, stops at too many bad lines, streams from it, is killed, goes on under a changed plan, and replays: nothing twice", async () => {
  const files = ["--files", "history.jsonl", "--until", MOMENT];
  // Most of the file is bad: the job stops on the way, and takes the file again when it may.
  const stopped = await millrace("beam", "backfill", ...files);
  expect(stopped.err).toMatch(
    /^DEAD_LETTER_THRESHOLD: The source "clicks" was stopped: \d+ of the last 1000 messages cannot be used, more than 50%\. The first: column "weight": .*Correct the schema.*deadLetters\.share/m,
  );
  expect([stopped.code, await glance("clicking", "a")]).toEqual([2, null]);
  const filled = await start(["--json", "beam", "backfill", ...files], { MILLRACE_DEAD_LETTER_SHARE: "1" }).ended;
  expect(filled.code, filled.err).toBe(0);
  expect(JSON.parse(filled.out)).toMatchObject({
    ...{ source: "clicks", generation: 1, state: "done" },
    counters: { clicks: { events: 30, dead_letters: BAD } },
  });
  expect(await read("browsing", "a")).toMatchObject({ rows: [[15, 210]] });
  await writeFile(join(folder, "more.jsonl"), textOf(event(4)));
  const refused = async (args: readonly string[], wanted: RegExp, own = {}): Promise<void> => {
    const { code, err } = await start(args, own).ended;
    expect([code, err]).toEqual([2, expect.stringMatching(wanted)]);
  };
  // The embedded engine must not write beside it.
  await writeFile(
    join(folder, "plain.config.ts"),
    'export default { declarations: "./features.ts", logLevel: "error" };\n',
  );
  await Promise.all([
    refused(["beam", "backfill", "--files", "history.jsonl"], /^BEAM_GENERATIONS_OVERLAP: /),
    refused(["beam", "backfill", "--files", "more.jsonl", "--until", MOMENT], /^BEAM_FILES_CHANGED: /),
    refused(["--config", "plain.config.ts", "ingest"], /^VIEW_OF_BEAM: /m, { MILLRACE_PORT: "0" }),
    refused(["materialize", "clicking"], /^SOURCE_OF_BEAM: /m),
  ]);

  // The event at the moment is in the files and in the topic, as those behind it up to the files' end.
  const streaming = start(["--json", "beam", "run", "--metrics", "0"]);
  const isWhole = (n: number, weight: number) => (found: unknown) => JSON.stringify(found) === `[${n},${weight}]`;
  await until(() => glance("clicking", "a"), isWhole(30, 870), streaming.ended);
  expect(await read("browsing", "a")).toMatchObject({ rows: [[30, 870]] });
  const url = /Metrics at (\S+)/.exec(streaming.err())![1]!;
  const panels = DASHBOARDS.flatMap(({ rows }) => rows.filter((row) => row.title === "Apache Beam"))[0]!.panels;
  const names = panels.flatMap(({ queries }) => queries.flatMap(({ expr }) => metricNames(expr)));
  expect(names.length).toBeGreaterThan(4);
  const shown = (text: string): string[] => names.filter((name) => !text.includes(`\n${name}{source="clicks"} `));
  const settled = Date.now() / 1_000 + 2;
  const figureOf = (text: string, name: string): number =>
    Number(new RegExp(`\\nmillrace_beam_${name}{source="clicks"} (\\S+)`).exec(text)?.[1]);
  const ask = async (): Promise<string> => (await fetch(url)).text();
  const scraped = await until(
    ask,
    (text) => shown(text).length === 0 && figureOf(text, "last_checkpoint_timestamp_seconds") > settled,
    streaming.ended,
  );
  expect(shown(scraped)).toEqual([]);
  const figure = (name: string): number => figureOf(scraped, name);
  expect([figure("events_total"), figure("backlog_messages")]).toEqual([30, 0]);
  expect(figure("newest_event_timestamp_seconds")).toBe(Date.parse(event(59).at) / 1_000);
  // Behind by the source's lateness, and what Flink and an idle partition take.
  expect(figure("watermark_lag_seconds")).toBeGreaterThan(60);
  expect(figure("watermark_lag_seconds")).toBeLessThan(60 + DEADLINE_MS / 1_000);
  // As a machine that fails: the embedded job ends with its launcher, and its newest checkpoint remains.
  streaming.child.kill("SIGKILL");
  await streaming.ended;

  await writeFile(join(folder, "features.ts"), FEATURES(NEWEST));
  revision++;
  await produce(
    Array.from({ length: 10 }, (_, i) => event(60 + i)),
    null,
  );
  const resumed = start(["--json", "beam", "run"]);
  await until(() => glance("clicking", "a"), isWhole(35, 1_190), resumed.ended);
  expect(await read("browsing", "a")).toMatchObject({ rows: [[35, 1_190]] });
  expect(await read("latest_click", "b")).toMatchObject({ rows: [[69]] });
  // Nothing was read again: a new view begins where the job went on.
  expect(await read("latest_click", "c")).toMatchObject({ rows: [[null]], statuses: [["NOT_FOUND"]] });
  // As Ctrl-C in a terminal does: the JVM is not of the group.
  process.kill(-resumed.child.pid!, "SIGINT");
  const again = await resumed.ended;
  expect(again.code, again.err).toBe(0);
  const { savepoint } = JSON.parse(again.out) as { savepoint: string };
  expect(savepoint).toMatch(/^file:/);
  expect(JSON.parse(again.out)).toMatchObject({ generation: 2, counters: { clicks: { events: 10 } } });

  await rename(join(folder, ".millrace"), join(folder, "away"));
  await refused(["beam", "run"], /^BEAM_STATE_MISSING: .*--replay/);
  await rm(join(folder, ".millrace"), { recursive: true, force: true });
  await rename(join(folder, "away"), join(folder, ".millrace"));
  const replayed = start(["--json", "beam", "run", "--replay"]);
  await until(
    () => glance("newest", "c"),
    (found) => JSON.stringify(found) === "[45]",
    replayed.ended,
  );
  expect(await read("latest_click", "c")).toMatchObject({ rows: [[45]] });
  replayed.child.kill("SIGTERM");
  const whole = await replayed.ended;
  expect(whole.code, whole.err).toBe(0);
  expect(JSON.parse(whole.out)).toMatchObject({ generation: 2, counters: { clicks: { events: 40 } } });
  expect(await read("browsing", "a")).toMatchObject({ rows: [[35, 1_190]] });
  // What it did not go on from, no later run does.
  expect(existsSync(new URL(savepoint))).toBe(false);
  expect(existsSync(new URL((JSON.parse(whole.out) as { savepoint: string }).savepoint))).toBe(true);
}, 600_000);
