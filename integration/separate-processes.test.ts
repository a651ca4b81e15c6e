import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { redisOnlineStore } from "../src/feature_store/online/redis-online-store.ts";
import { checkValues } from "../test/crash/check-values.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";
import { spawnService } from "./services/spawn-service.ts";

const file = (path: string): string => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
const FEATURES = `
import { count, entity, featureService, featureView, httpPush, streamSource, sum, t } from ${file("../src/index.ts")};
export * from ${file("../test/crash/declarations.ts")};
export const card = entity("card", { card_id: t.string() });
export const clicks = streamSource("clicks", {
  stream: httpPush(), eventTime: "at", lateness: "1m", schema: { card_id: t.string(), weight: t.float64(), at: t.timestamp() },
});
export const clicking = featureView("clicking", {
  source: clicks, entity: card, features: { n: count().over("24h"), weight: sum(clicks.weight).over("24h") },
});
export const browsing = featureService("browsing", { features: { ...clicking } });
`;
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const CARDS = ["a", "b", "c"];
const PUSHES = 240;

let folder = "";
let redis: RedisServer;
let postgres: PostgresServer;
let env: Record<string, string> = {};
const children = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-separate-"));
  await writeFile(join(folder, "features.ts"), FEATURES);
  await writeFile(
    join(folder, "millrace.config.ts"),
    'export default { declarations: "./features.ts", logLevel: "error" };\n',
  );
  [redis, postgres] = await Promise.all([startRedis({ password: "it's secret" }), startPostgres()]);
  env = {
    MILLRACE_PORT: "0",
    MILLRACE_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    MILLRACE_REDIS_PASSWORD: "it's secret",
    MILLRACE_POSTGRES_URL: await postgres.createDatabase(),
  };
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all([redis?.remove(), postgres?.remove()]);
  await rm(folder, { recursive: true, force: true });
});

async function start(command: string): Promise<{ child: ChildProcess; url: string; text: () => string }> {
  const child = spawnService(process.execPath, [MAIN, command], {
    cwd: folder,
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.add(child);
  let text = "";
  const ready = new Promise<void>((resolve, reject) => {
    child.stderr!.on("data", (data) => {
      text += data;
      if (text.includes("Ready.")) resolve();
    });
    child.on("close", () => {
      children.delete(child);
      reject(new TypeError(text));
    });
  });
  await ready;
  return { child, url: /serves at (\S+)/.exec(text)![1]!, text: () => text };
}

async function push(url: string, i: number, card = CARDS[i % CARDS.length]): Promise<boolean> {
  const response = await fetch(`${url}/v1/sources/clicks/events`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": `push-${i}`, connection: "close" },
    body: JSON.stringify([{ card_id: card, weight: i, at: new Date().toISOString() }]),
  });
  const text = await response.text();
  expect(response.status, text).toBe(202);
  return (JSON.parse(text) as { duplicate: boolean }).duplicate;
}

async function read(url: string): Promise<readonly (readonly unknown[])[]> {
  const response = await fetch(`${url}/v1/features/online`, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close" },
    body: JSON.stringify({ service: "browsing", rows: CARDS.map((card_id) => ({ card_id })) }),
  });
  const { rows } = (await response.json()) as { rows: unknown[][] };
  return rows;
}

async function until<T>(look: () => Promise<T>, done: (found: T) => boolean, seconds: number): Promise<T> {
  const deadline = performance.now() + seconds * 1_000;
  for (;;) {
    const found = await look();
    if (done(found) || performance.now() > deadline) return found;
    await pause(200);
  }
}

it("keeps every event and counts it once, with one process that ingests and two that serve, one of them killed", async () => {
  const ingest = await start("ingest");
  const [first, second] = await Promise.all([start("serve"), start("serve")]);
  const failed: number[] = [];
  const pushes = Array.from({ length: PUSHES }, (_, i) => i);
  const through = async (url: string, numbers: readonly number[]): Promise<void> => {
    for (const i of numbers) await push(url, i).catch(() => failed.push(i));
  };
  const half = PUSHES / 2;
  const lanes = [0, 1, 2, 3].flatMap((lane) => [
    through(
      first.url,
      pushes.filter((i) => i < half && i % 4 === lane),
    ),
    through(
      second.url,
      pushes.filter((i) => i >= half && i % 4 === lane),
    ),
  ]);
  await until(
    () => read(first.url),
    (rows) => Number(rows[0]![0]) > 5,
    30,
  );
  first.child.kill("SIGKILL");
  await Promise.all(lanes);
  // Under the same key: what was taken before the kill is known.
  for (const i of failed.splice(0)) await push(second.url, i);
  expect(failed).toEqual([]);

  const expected = CARDS.map((_, card) => {
    const own = pushes.filter((i) => i % CARDS.length === card);
    return [own.length, own.reduce((sum, i) => sum + i, 0)];
  });
  const equal = (rows: unknown): boolean => JSON.stringify(rows) === JSON.stringify(expected);
  expect(await until(() => read(second.url), equal, 60)).toEqual(expected);
  // A process that comes later reads the same, and takes pushes in a partition of its own.
  const third = await start("serve");
  expect(await read(third.url)).toEqual(expected);

  // At two processes at once, one of them counts it and the other one says that it was known.
  const both = Array.from({ length: 40 }, (_, i) => [second, third].map(({ url }) => push(url, 10_000 + i, "d")));
  expect((await Promise.all(both.flat())).filter((duplicate) => !duplicate).length).toBe(both.length);

  const online = await redisOnlineStore({ url: env.MILLRACE_REDIS_URL!, password: "it's secret" });
  try {
    const flights = await until(
      () => checkValues(online),
      ({ mismatches }) => mismatches === 0,
      120,
    );
    expect(flights.examples).toEqual([]);
    expect(flights.values).toBeGreaterThan(10_000);
  } finally {
    await online.close();
  }
  for (const { child, text } of [ingest, second, third]) {
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGTERM");
    expect([await ended, text()]).toEqual([0, expect.not.stringContaining("secret")]);
  }
});
