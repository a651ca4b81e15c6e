import { once } from "node:events";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, expect, it } from "vitest";
import type { ScoringOptions } from "../src/api/models/scoring-client.ts";
import { scoringRunner } from "../src/api/models/scoring-runner.ts";
import { CLIENTS, MLSERVER } from "./protocols/protocol-checks.ts";
import { answers } from "./services/answers.ts";
import { freePorts } from "./services/free-ports.ts";
import { pythonEnvironment } from "./services/python-environment.ts";
import { spawnService } from "./services/spawn-service.ts";

const stops: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

it.each([
  ["MLServer", startMlserver],
  ["KServe's model server", startKserve],
])("predicts by a real %s, in parts, and refuses what it does not know", async (_name, start) => {
  const options = await start();
  const runner = await scoringRunner("scoring", options, "live");
  const rows = Array.from({ length: 2_300 }, (_, i) => [i / 8, -i]);
  expect(await runner.prepare(["a", "b"]).predict(rows)).toEqual(rows.map(([a, b]) => a! * 2 + b!));
  await runner.close();
  await expect(scoringRunner("scoring", { ...options, model: "nope" }, "live")).rejects.toMatchObject({
    code: "MODEL_RUN_FAILED",
    message: expect.stringMatching(/404.*nope/),
  });
});

async function startMlserver(): Promise<ScoringOptions> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-mlserver-"));
  stops.push(() => rm(folder, { recursive: true, force: true }));
  const [http, grpc, metrics] = await freePorts(3);
  await copyFile(fileURLToPath(new URL("mlserver/model.py", import.meta.url)), join(folder, "model.py"));
  const settings = { host: "127.0.0.1", http_port: http, grpc_port: grpc, metrics_port: metrics, parallel_workers: 0 };
  await writeFile(join(folder, "settings.json"), JSON.stringify(settings));
  await writeFile(
    join(folder, "model-settings.json"),
    JSON.stringify({
      name: "sum",
      implementation: "model.Sum",
      inputs: [{ name: "rows", datatype: "FP64", shape: [-1, 2] }],
      parameters: { version: "v7" },
    }),
  );
  return startServer(join(pythonEnvironment(MLSERVER), "mlserver"), ["start", folder], http!, folder);
}

async function startKserve(): Promise<ScoringOptions> {
  const [http] = await freePorts(1);
  const program = fileURLToPath(new URL("kserve/model_server.py", import.meta.url));
  return startServer(join(pythonEnvironment(CLIENTS), "python"), [program, String(http)], http!, tmpdir());
}

async function startServer(command: string, args: string[], port: number, cwd: string): Promise<ScoringOptions> {
  const child = spawnService(command, args, { cwd, stdio: "ignore", env: { ...process.env, PYTHONPATH: cwd } });
  const ended = once(child, "exit");
  stops.unshift(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  await expect.poll(() => answers(`${url}/v2/models/sum/ready`), { timeout: 120_000, interval: 100 }).toBe(true);
  return { url, protocol: "open_inference", model: "sum" };
}
