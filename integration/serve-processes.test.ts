import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeModel } from "../test/api/models/write-model.ts";
import { type MillraceProcess, millraceProcess } from "./services/millrace-process.ts";

const TOKEN = "a token of the tests, long enough".replaceAll(" ", "-");
let folder = "";
let millrace: MillraceProcess;
/** Every request over a connection of its own, which is dealt to the next process. */
const anew = new Agent({ keepAlive: false });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-processes-"));
  const index = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
  const models = join(folder, "models");
  for (const version of ["1", "2"]) {
    await writeModel(join(models, version), { answer: Number(version), features: ["n", "amount"] });
  }
  await writeFile(
    join(folder, "features.ts"),
    `import { count, entity, featureService, featureView, httpPush, model, modelFolder, requestSource, streamSource, t } from ${index};
const clicks = streamSource("clicks", {
  stream: httpPush(), eventTime: "at", lateness: "1m", schema: { card_id: t.string(), at: t.timestamp() },
});
export const clicking = featureView("clicking", {
  source: clicks, entity: entity("card", { card_id: t.string() }), features: { n: count().over("24h") },
});
const request = requestSource({ amount: t.float64() });
export const browsing = featureService("browsing", { features: { n: clicking.n, amount: request.amount } });
export const risk = model("risk", {
  inputs: browsing, output: { answer: t.float64() }, source: modelFolder(${JSON.stringify(models)}),
});
`,
  );
  await writeFile(join(folder, "millrace.config.ts"), 'export default { declarations: "./features.ts" };\n');
  millrace = await millraceProcess(join(folder, "millrace.config.ts"), {
    MILLRACE_PROCESSES: "2",
    MILLRACE_ADMIN_TOKEN: TOKEN,
    MILLRACE_LOG_LEVEL: "silent",
  });
});
afterAll(async () => {
  await millrace?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function send(
  method: string,
  path: string,
  body?: unknown,
  agent = anew,
): Promise<{ readonly status: number; readonly text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json", authorization: `Bearer ${TOKEN}` };
    const sent = httpRequest(new URL(path, millrace.url), { method, headers, agent }, (answer) => {
      let text = "";
      answer.setEncoding("utf8");
      answer.on("data", (part: string) => {
        text += part;
      });
      answer.on("end", () => resolve({ status: answer.statusCode!, text }));
      answer.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : JSON.stringify(body));
  });
}
const predict = () => send("POST", "/v1/models/risk/predict", { rows: [{ card_id: "c", amount: 1 }] });
const servers = (): number[] =>
  execFileSync("ps", ["-o", "pid=", "--ppid", String(millrace.pid)], { encoding: "utf8" })
    .split("\n")
    .map(Number)
    .filter((pid) => pid > 0 && processName(pid).includes("serving-process"));
function processName(pid: number): string {
  try {
    return execFileSync("ps", ["-o", "args=", "-p", String(pid)], { encoding: "utf8" });
  } catch {
    return "";
  }
}
async function predicted(): Promise<number> {
  const { text } = await send("GET", "/metrics");
  return Number(/^millrace_predictions_total\{model="risk"\} (\d+)$/m.exec(text)?.[1] ?? 0);
}
async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 60_000; !(await holds()); await pause(25)) {
    expect(performance.now(), "the condition did not come true").toBeLessThan(deadline);
  }
}
/** Both places are taken, by processes that serve and are not those. */
async function bothServe(before: readonly number[]): Promise<boolean> {
  const now = servers();
  if (now.length !== 2 || now.some((pid) => before.includes(pid))) return false;
  const lines = await Promise.all([1, 2, 3, 4].map(() => send("GET", "/metrics")));
  const starts = lines.map(
    ({ text }) => [...text.matchAll(/^millrace_thread_heap_used_bytes\{thread="serve_\d"\}/gm)].length,
  );
  return starts.every((count) => count === 2);
}
async function versions(): Promise<Set<number>> {
  const answers = await Promise.all(Array.from({ length: 8 }, predict));
  return new Set(answers.map(({ text }) => JSON.parse(text).predictions[0].answer as number));
}

it("serves by two processes, which share events, metrics and readiness", async () => {
  expect(servers()).toHaveLength(2);
  const events = [{ card_id: "c", at: new Date(Date.now() - 60_000).toISOString() }];
  expect((await send("POST", "/v1/sources/clicks/events", { events })).status).toBeLessThan(300);
  const before = await predicted();
  for (let i = 0; i < 10; i++) {
    const { text } = await send("POST", "/v1/models/risk/predict", {
      rows: [{ card_id: "c", amount: 1 }],
      include_features: true,
    });
    expect(JSON.parse(text).features).toEqual([{ n: 1, amount: 1 }]);
  }
  expect(await predicted()).toBe(before + 10);
  for (let i = 0; i < 4; i++) expect((await send("GET", "/readyz")).status).toBe(200);
});

it("lets an operator's act on one process reach all, and those that start later", async () => {
  expect(await versions()).toEqual(new Set([2]));
  await Promise.all(Array.from({ length: 1 }, () => send("POST", "/v1/models/risk/pin", { version: "1" })));
  expect(await versions()).toEqual(new Set([1]));
  expect((await send("POST", "/v1/models/risk/pin", { version: null })).status).toBe(200);
  expect(await versions()).toEqual(new Set([2]));
  // Each has served both: one goes back, the other to the same.
  expect((await send("POST", "/v1/models/risk/rollback")).status).toBe(200);
  expect(await versions()).toEqual(new Set([1]));
  const [first] = servers();
  process.kill(first!, "SIGKILL");
  await until(() => bothServe([first!]));
  expect(await versions()).toEqual(new Set([1]));
});

it("keeps what a process counted that died, and answers meanwhile", async () => {
  for (let i = 0; i < 20; i++) await predict();
  const before = await predicted();
  const [first] = servers();
  process.kill(first!, "SIGKILL");
  await until(() => !servers().includes(first!));
  expect(await predicted()).toBeGreaterThanOrEqual(before);
  await until(() => bothServe([first!]));
  expect(await predicted()).toBeGreaterThanOrEqual(before);
  expect((await predict()).status).toBe(200);
});

it("lets no client wait whose connection was on its way to a process that is killed", async () => {
  const statuses: (number | string)[] = [];
  let longest = 0;
  let isDone = false;
  const load = Promise.all(
    Array.from({ length: 16 }, async () => {
      while (!isDone) {
        const started = performance.now();
        // Whoever had its request in the process that died sees the connection end.
        statuses.push(
          await predict().then(
            ({ status }) => status,
            (error: Error) => error.message,
          ),
        );
        longest = Math.max(longest, performance.now() - started);
      }
    }),
  );
  for (let i = 0; i < 3; i++) {
    const [first] = servers();
    process.kill(first!, "SIGKILL");
    await until(() => bothServe([first!]));
  }
  isDone = true;
  await load;
  expect(statuses.filter((one) => ![200, "socket hang up", "read ECONNRESET"].includes(one))).toEqual([]);
  expect(statuses.filter((status) => status === 200).length).toBeGreaterThan(50);
  // No client of this test gives up by itself: one that is forgotten would never come to an end.
  expect(longest).toBeLessThan(15_000);
});

it("replaces its processes one by one at SIGHUP, and fails no request", async () => {
  const before = servers();
  const statuses: number[] = [];
  let isDone = false;
  const load = Promise.all(
    Array.from({ length: 4 }, async () => {
      while (!isDone) statuses.push((await predict()).status);
    }),
  );
  process.kill(millrace.pid, "SIGHUP");
  try {
    await until(() => bothServe(before));
  } finally {
    isDone = true;
    await load;
  }
  expect(statuses.length).toBeGreaterThan(50);
  expect(new Set(statuses)).toEqual(new Set([200]));
});

it("fails no request of clients that keep their connections, neither at SIGHUP nor at SIGTERM", async () => {
  const kept = new Agent({ keepAlive: true });
  const failures: unknown[] = [];
  let answered = 0;
  const load = Array.from({ length: 8 }, async () => {
    for (;;) {
      const one = await send("POST", "/v1/models/risk/predict", { rows: [{ card_id: "c", amount: 1 }] }, kept).then(
        ({ status }) => status,
        (error: Error) => error.message,
      );
      if (String(one).startsWith("connect ECONNREFUSED")) return;
      if (one === 200) answered++;
      else failures.push(one);
    }
  });
  const before = servers();
  process.kill(millrace.pid, "SIGHUP");
  await until(async () => !servers().some((pid) => before.includes(pid)));
  const atEnd = answered;
  await until(() => answered > atEnd + 50);
  process.kill(millrace.pid, "SIGTERM");
  await Promise.all(load);
  expect(failures).toEqual([]);
  expect(answered).toBeGreaterThan(200);
});
