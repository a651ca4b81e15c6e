import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { childProcesses } from "./services/child-processes.ts";
import { type MillraceProcess, millraceProcess } from "./services/millrace-process.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";

const TOKEN = "a-token-of-the-tests-long-enough";
const features = (more: string): string => `
import { count, entity, featureService, featureView, httpPush, streamSource, sum, t } from ${JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)))};
const clicks = streamSource("clicks", {
  stream: httpPush(), eventTime: "at", lateness: "1m", schema: { card_id: t.string(), weight: t.float64(), at: t.timestamp() },
});
export const clicking = featureView("clicking", {
  source: clicks, entity: entity("card", { card_id: t.string() }), features: { n: count().over("24h")${more} },
});
export const browsing = featureService("browsing", { features: { ...clicking } });
`;

let folder = "";
let redis: RedisServer;
let postgres: PostgresServer;
let millrace: MillraceProcess;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-shared-"));
  await writeFile(join(folder, "features.ts"), features(""));
  await writeFile(join(folder, "millrace.config.ts"), 'export default { declarations: "./features.ts" };\n');
  [redis, postgres] = await Promise.all([startRedis(), startPostgres()]);
  millrace = await millraceProcess(join(folder, "millrace.config.ts"), {
    MILLRACE_PROCESSES: "2",
    MILLRACE_ADMIN_TOKEN: TOKEN,
    MILLRACE_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
    MILLRACE_POSTGRES_URL: await postgres.createDatabase(),
    MILLRACE_LOG_LEVEL: "silent",
  });
});
afterAll(async () => {
  await millrace?.[Symbol.asyncDispose]();
  await Promise.all([redis?.remove(), postgres?.remove()]);
  await rm(folder, { recursive: true, force: true });
});

/** Over a connection of its own, which is dealt to the next process. */
async function post(path: string, body: unknown, headers: object = {}): Promise<{ status: number; text: string }> {
  const response = await fetch(`${millrace.url}${path}`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      connection: "close",
      authorization: `Bearer ${TOKEN}`,
      ...headers,
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5_000),
  });
  return { status: response.status, text: await response.text() };
}
async function read(): Promise<unknown> {
  const { text } = await post("/v1/features/online", { service: "browsing", rows: [{ card_id: "c" }] });
  return JSON.parse(text).rows[0];
}
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await holds()); await pause(50)) {
    expect(performance.now(), "the condition did not come true").toBeLessThan(deadline);
  }
}
/** What each process answers. */
const all = (): Promise<readonly unknown[]> => Promise.all([1, 2, 3, 4].map(read));
const servers = (): readonly number[] => childProcesses(millrace.pid, "serving-process");

it("counts each event once though a process is killed, and all take new declarations over, also one that starts later", async () => {
  const first = servers();
  expect(first).toHaveLength(2);
  const at = new Date(Date.now() - 60_000).toISOString();
  let isKilled = false;
  for (let i = 0; i < 60; i++) {
    if (i === 20) {
      process.kill(first[0]!, "SIGKILL");
      isKilled = true;
    }
    for (;;) {
      // What was on its way to the killed one is sent again, under the same key.
      const sent = post("/v1/sources/clicks/events", [{ card_id: "c", weight: 2, at }], { "idempotency-key": `e${i}` });
      const answer = await sent.catch(() => null);
      if (answer !== null && answer.status < 300) break;
      expect(isKilled, answer?.text).toBe(true);
      await pause(50);
    }
  }
  await until(async () => servers().length === 2 && !servers().includes(first[0]!));
  await until(async () => (await all().catch(() => [null])).every((row) => JSON.stringify(row) === "[60]"));

  await writeFile(join(folder, "features.ts"), features(', weight: sum(clicks.weight).over("24h")'));
  expect((await post("/v1/apply", {})).status).toBe(200);
  const whole = async (): Promise<boolean> =>
    (await all().catch(() => [null])).every((row) => JSON.stringify(row) === "[60,120]");
  await until(whole);
  const [victim] = servers();
  process.kill(victim!, "SIGKILL");
  await until(async () => servers().length === 2 && !servers().includes(victim!));
  await until(whole);
  expect((await fetch(`${millrace.url}/readyz`)).status).toBe(200);
});
