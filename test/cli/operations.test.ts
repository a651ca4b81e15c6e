import { writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, it } from "vitest";
import { createProject, INDEX, type Project } from "./project.ts";

const features = (over: string, amount = "t.float64()", more = ""): string => `
import { existsSync } from "node:fs";
import { isMainThread } from "node:worker_threads";
import { count, entity, featureService, featureView, fileReplay, streamSource, sum, t } from ${JSON.stringify(INDEX)};
export const card = entity("card", { card_id: t.string() });
export const payments = streamSource("payments", {
  stream: fileReplay({ path: new URL("payments.jsonl", import.meta.url).pathname }),
  clock: "stream", eventTime: "at", lateness: "1m", id: "id",
  schema: { id: t.string(), card_id: t.string(), amount: ${amount}, at: t.timestamp() },
});
export const activity = featureView("activity", {
  source: payments, entity: card, features: { n: count().over(${over}), spend: sum(payments.amount).over("1h") },
});
export const risk = featureService("risk", { features: { ...activity } });
${more}`;

const LINES = [
  { id: "1", card_id: "a", amount: 10, at: "2026-01-01T00:00:00Z" },
  { id: "2", card_id: "a", amount: null, at: "2026-01-01T00:01:00Z" },
];

async function projectOf(text: string): Promise<Project> {
  return createProject({
    "features.ts": text,
    "payments.jsonl": LINES.map((line) => `${JSON.stringify(line)}\n`).join(""),
  });
}

async function answer(project: Project): Promise<readonly unknown[]> {
  const done = await project.run(["--json", "get", "risk", "card_id=a"]);
  expect(done.code, done.stderr).toBe(0);
  return (JSON.parse(done.stdout) as { rows: unknown[][] }).rows[0]!;
}

it("replays dead letters without a running server, once the declarations take them", async () => {
  await using project = await projectOf(features('"1h"'));
  expect((await project.run(["replay"])).code).toBe(0);
  const refused = await project.run(["--json", "dead-letters", "replay"]);
  expect(JSON.parse(refused.stdout)).toMatchObject({
    replayed: 0,
    failed: [{ reason: expect.stringContaining("amount") }],
  });
  expect(refused.code).toBe(2);
  await project.write("features.ts", features('"1h"', "t.float64().nullable()"));
  const taken = await project.run(["--json", "dead-letters", "replay"]);
  expect(JSON.parse(taken.stdout)).toEqual({ replayed: 1, failed: [] });
  expect(taken.code).toBe(0);
  expect(await answer(project)).toEqual([2, 10]);
  expect((await project.run(["dead-letters", "list"])).stdout).toBe("No dead letters.\n");
});

it("takes pushes where no source is read", async () => {
  await using project = await projectOf(features('"1h"'));
  const server = project.start(["serve", "--no-ingest"]);
  await server.says("Ready.");
  const response = await fetch(`${await project.url()}/v1/sources/payments/events`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": "1" },
    body: JSON.stringify([{ id: "9", card_id: "a", amount: 3, at: "2026-01-01T00:02:00Z" }]),
  });
  expect([response.status, await response.json()]).toEqual([202, { accepted: 1, rejected: [], duplicate: false }]);
  const status = (await (await fetch(`${await project.url()}/v1/sources/status`)).json()) as object;
  expect(status).toMatchObject({ sources: [{ source: "payments", state: "running", messages: 1 }] });
  expect(await answer(project)).toEqual([1, 3]);
});

it("applies beside a running server: that one takes the declarations over, or they are refused", async () => {
  await using project = await projectOf(features('"1h"'));
  const server = project.start(["serve"]);
  await server.says("Ready.");
  while (((await answer(project)) as number[])[0] !== 1);

  await project.write("features.ts", features('["1h", "24h"]'));
  const applied = await project.run(["--json", "apply"]);
  expect([applied.code, applied.stderr]).toEqual([0, ""]);
  expect(JSON.parse(applied.stdout)).toMatchObject({ meaning: "new_version" });
  expect(await answer(project)).toEqual([1, 1, 10]);
  expect((await project.run(["plan"])).stdout).toBe("No changes.\n");

  await project.write("features.ts", features('"1h"', "t.string()").replace("sum(payments.amount)", "count()"));
  const breaking = await project.run(["apply"]);
  expect([breaking.code, breaking.stderr]).toEqual([2, expect.stringContaining("PLAN_BREAKING")]);
  await project.write("features.ts", features('"1h"'));
  await project.write("other.ts", features('"2h"'));
  await project.write(
    "other.config.ts",
    `export default { declarations: "./other.ts", data: ${JSON.stringify(join(project.folder, ".millrace"))} };\n`,
  );
  const elsewhere = await project.run(["--config", "other.config.ts", "apply"]);
  expect([elsewhere.code, elsewhere.stderr]).toEqual([2, expect.stringContaining("PLAN_DIFFERS")]);
  expect(await answer(project)).toEqual([1, 1, 10]);
});

it("shows the main thread's metrics, and that the pipeline is gone, once its thread has died", async () => {
  const dying = `if (!isMainThread) setInterval(() => {
    if (existsSync(new URL("die", import.meta.url))) throw new TypeError("killed by the test");
  }, 10);`;
  await using project = await projectOf(features('"1h"', "t.float64()", dying));
  const server = project.start(["serve"]);
  await server.says("Ready.");
  const url = await project.url();
  const metrics = async (): Promise<string> => {
    // A kept connection that is idle for five seconds, as on a busy machine, is reset.
    const response = await fetch(`${url}/metrics`, { headers: { connection: "close" } });
    expect(response.status).toBe(200);
    return response.text();
  };
  const alive = await metrics();
  expect(alive).toContain("millrace_pipeline_up 1\n");
  expect(alive).toContain("millrace_ingestion_events_total");
  await writeFile(join(project.folder, "die"), "");
  let text = alive;
  while (text.includes("millrace_pipeline_up 1\n")) text = await metrics();
  expect(text).toContain("millrace_pipeline_up 0\n");
  expect(text).toContain("process_cpu_seconds_total");
  const ready = await fetch(`${url}/readyz`, { headers: { connection: "close" } });
  expect([ready.status, await ready.text()]).toEqual([503, expect.stringContaining("killed by the test")]);
  expect(server.child.exitCode).toBeNull();
});

it("leaves no store open if opening fails late", async () => {
  await using project = await projectOf(features('"1h"'));
  const src = new URL("../../src/", import.meta.url).href;
  await project.write(
    "open.ts",
    `
import { mkdirSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
const { default: pino } = await import(${JSON.stringify(createRequire(import.meta.url).resolve("pino"))});
const { resolveConfig } = await import(${JSON.stringify(`${src}config/resolve-config.ts`)});
const { openPlatform } = await import(${JSON.stringify(`${src}platform.ts`)});
const { createWorkerMethods } = await import(${JSON.stringify(`${src}processes/worker-methods.ts`)});
const log = pino({ level: "silent" });
const openFiles = () => readdirSync("/proc/self/fd").flatMap((fd) => {
  try { return [readlinkSync("/proc/self/fd/" + fd)].filter((path) => path.includes("/.millrace/") || path.includes("/broken/")); } catch { return []; }
});
const busy = createServer().listen(0, "127.0.0.1");
await new Promise((resolve) => busy.once("listening", resolve));
const config = (port) => resolveConfig({ declarations: "./features.ts", server: { port } }, ${JSON.stringify(project.folder)}, {});
const late = await openPlatform(config(busy.address().port), { log }).catch((error) => error);
const afterLate = openFiles();
mkdirSync("broken/cold.duckdb", { recursive: true });
const worker = await createWorkerMethods({ ...config(0), data: join(${JSON.stringify(project.folder)}, "broken"), ingest: true }, () => {}).catch((error) => error);
const afterWorker = openFiles();
const platform = await openPlatform(config(0), { log });
await platform.ready();
const open = openFiles().length > 0;
await platform.close();
busy.close();
console.log(JSON.stringify({ late: late.code, afterLate, worker: worker.code, afterWorker, open }));
`,
  );
  await project.write("package.json", '{ "type": "module" }');
  const done = await project.run([join(project.folder, "open.ts")], {}, "script");
  expect(done.code, done.stderr).toBe(0);
  expect(JSON.parse(done.stdout)).toEqual({
    late: "ADDRESS_UNAVAILABLE",
    afterLate: [],
    worker: "OFFLINE_STORE_UNAVAILABLE",
    afterWorker: [],
    open: true,
  });
});
