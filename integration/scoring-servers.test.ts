import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import type { ScoringOptions } from "../src/api/models/scoring-client.ts";
import { scoringRunner } from "../src/api/models/scoring-runner.ts";
import { MLSERVER } from "./protocols/protocol-checks.ts";
import { freePorts } from "./services/free-ports.ts";
import { pythonEnvironment } from "./services/python-environment.ts";

let folder: string;
let options: ScoringOptions;
let stop: () => Promise<void>;

beforeAll(async () => {
  const bin = pythonEnvironment(MLSERVER);
  folder = await mkdtemp(join(tmpdir(), "millrace-mlserver-"));
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
  const child = spawn(join(bin, "mlserver"), ["start", folder], {
    cwd: folder,
    stdio: "ignore",
    env: { ...process.env, PYTHONPATH: folder },
  });
  stop = async () => {
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  };
  const url = `http://127.0.0.1:${http}`;
  options = { url, protocol: "open_inference", model: "sum" };
  await vi.waitFor(async () => expect((await fetch(`${url}/v2/models/sum/ready`)).status).toBe(200), {
    timeout: 120_000,
    interval: 100,
  });
});
afterAll(async () => {
  await stop();
  await rm(folder, { recursive: true, force: true });
});

it("predicts by a real MLServer, in parts, and refuses what it does not know", async () => {
  const runner = await scoringRunner("mlserver", options, "live");
  const rows = Array.from({ length: 2_300 }, (_, i) => [i / 8, -i]);
  expect(await runner.prepare(["a", "b"]).predict(rows)).toEqual(rows.map(([a, b]) => a! * 2 + b!));
  await runner.close();
  await expect(scoringRunner("mlserver", { ...options, model: "nope" }, "live")).rejects.toMatchObject({
    code: "MODEL_RUN_FAILED",
    message: expect.stringMatching(/404.*nope/),
  });
});
