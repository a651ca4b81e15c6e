import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { SCORING_BODIES, score } from "../integration/protocols/mlflow-bodies.ts";
import {
  batchChecks,
  CLIENTS,
  type ClientCheck,
  MLSERVER,
  mlflowServe,
  mlserverChecks,
  openInferenceChecks,
  serveModel,
} from "../integration/protocols/protocol-checks.ts";
import { freePorts } from "../integration/services/free-ports.ts";
import { millraceProcess } from "../integration/services/millrace-process.ts";
import { MLFLOW } from "../integration/services/mlflow-version.ts";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { millraceError } from "../src/definitions/errors.ts";
import { batchFigures } from "./protocols/batch-figures.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/**
 * Other people's clients against one server, MLflow's own scoring server beside it, and the speed and memory of large
 * bodies. `--quick`: bodies of some 10 MB instead of several 100. `--bodies`: these alone.
 */
export async function run(args: readonly string[]): Promise<void> {
  let failures = 0;
  if (!args.includes("--bodies")) {
    await using served = await serveModel();
    say(`clients: ${[...CLIENTS, ...MLSERVER, ...MLFLOW].join(", ")}`);
    const checks = [...openInferenceChecks(served), ...(await mlserverChecks(served)), ...batchChecks(served)];
    for (const [client, of] of Map.groupBy(checks, (check) => check.client)) failures += report(client, of);
    await using mlflow = await mlflowServe(served.modelFolder, (await freePorts(1))[0]!);
    let alike = 0;
    let meant = 0;
    for (const body of SCORING_BODIES) {
      const [ours, theirs] = await Promise.all([score(served.millrace.url, body), score(mlflow.url, body)]);
      if (JSON.stringify(ours) === JSON.stringify(theirs)) alike++;
      else if (body.differs !== undefined && ours.status === 4) meant++;
      else {
        failures++;
        say(`  differs: ${body.what}: ${JSON.stringify(ours)} here, ${JSON.stringify(theirs)} by MLflow`);
      }
    }
    say(
      `mlflow models serve: ${alike} of ${SCORING_BODIES.length} bodies answered alike, ${meant} refused where it guesses   (aim: all others alike)`,
    );
  }
  const folder = await mkdtemp(join(tmpdir(), "millrace-protocols-"));
  try {
    failures += await largeBodies(folder, args.includes("--quick"));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (failures > 0) throw millraceError("ACCEPTANCE_FAILED", `${failures} checks failed: see above.`);
}

function report(client: string, checks: readonly ClientCheck[]): number {
  const failed = checks.filter(({ passed }) => !passed);
  say(`${client}: ${checks.length - failed.length} of ${checks.length} checks passed   (aim: all)`);
  for (const { what, found } of failed) say(`  failed: ${what}: ${found}`);
  return failed.length;
}

const ROWS = 1_000;
const WIDTH = 30;

async function largeBodies(folder: string, isQuick: boolean): Promise<number> {
  const model = join(folder, "model");
  const rowsFile = join(folder, "rows");
  const trained = spawnSync(join(pythonEnvironment(MLFLOW), "python"), [file("protocols/train.py"), model, rowsFile], {
    encoding: "utf8",
  });
  if (trained.status !== 0) throw millraceError("TOOL_FAILED", trained.stderr.slice(-2_000), { kind: "operational" });
  const bytes = await readFile(rowsFile);
  const rows = new Float32Array(new Uint8Array(bytes.subarray(0, ROWS * WIDTH * 4)).buffer);
  const expected = new Float32Array(new Uint8Array(bytes.subarray(ROWS * WIDTH * 4)).buffer);
  await using millrace = await millraceProcess(file("protocols/millrace.config.ts"), { PROTOCOLS_MODEL: model });
  const seconds = isQuick ? 2 : 8;
  for (const form of ["binary", "json"] as const) {
    const { head, body } = inferBody(form, rows);
    checkAnswer(await inferOnce(`${millrace.url}/v2/models/wide/infer`, head, body), expected);
    for (const connections of [1, 16]) {
      const done = await load(`${millrace.url}/v2/models/wide/infer`, head, body, connections, seconds);
      const rate = Math.round((done.requests * ROWS) / done.seconds);
      const aim = form === "binary" ? "   (aim: over 250,000)" : "";
      say(
        `Open Inference Protocol, ${ROWS} rows of ${WIDTH} in ${form === "binary" ? "binary tensors" : "JSON"}, ${connections} connections, one process: ${rate.toLocaleString("en")} rows/s, P50 ${done.p50.toFixed(1)} P99 ${done.p99.toFixed(1)} ms${aim}`,
      );
    }
  }
  return await batchFigures(millrace, rows, rowsFile, expected, isQuick ? 20 : 400, say);
}

interface Answer {
  readonly status: number;
  readonly head: number | null;
  readonly bytes: Buffer;
}

function inferBody(form: "binary" | "json", rows: Float32Array): { head: Record<string, string>; body: Buffer } {
  const input = { name: "input-0", shape: [ROWS, WIDTH], datatype: "FP32" };
  if (form === "json") {
    const body = Buffer.from(JSON.stringify({ inputs: [{ ...input, data: Array.from(rows) }] }));
    return { head: { "content-type": "application/json" }, body };
  }
  const data = Buffer.from(rows.buffer);
  const header = Buffer.from(
    JSON.stringify({
      inputs: [{ ...input, parameters: { binary_data_size: data.length } }],
      parameters: { binary_data_output: true },
    }),
  );
  return {
    head: { "content-type": "application/octet-stream", "inference-header-content-length": String(header.length) },
    body: Buffer.concat([header, data]),
  };
}

function inferOnce(url: string, head: Record<string, string>, body: Buffer, agent?: Agent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = { ...head, "content-length": String(body.length) };
    const sending = httpRequest(url, { method: "POST", headers, ...(agent === undefined ? {} : { agent }) });
    sending.on("error", reject);
    sending.on("response", (response: IncomingMessage) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const length = response.headers["inference-header-content-length"];
        resolve({
          status: response.statusCode!,
          head: length === undefined ? null : Number(length),
          bytes: Buffer.concat(parts),
        });
      });
    });
    sending.end(body);
  });
}

function checkAnswer({ status, head, bytes }: Answer, expected: Float32Array): void {
  const found =
    head === null
      ? (JSON.parse(bytes.toString()) as { outputs: { data: number[] }[] }).outputs[0]!.data
      : [...new Float64Array(new Uint8Array(bytes.subarray(head)).buffer)];
  if (status === 200 && found.length === ROWS && found.every((value, r) => value === expected[r])) return;
  throw millraceError("ACCEPTANCE_FAILED", `The answers are not XGBoost's: ${bytes.toString().slice(0, 500)}`);
}

async function load(
  url: string,
  head: Record<string, string>,
  body: Buffer,
  connections: number,
  seconds: number,
): Promise<{ requests: number; seconds: number; p50: number; p99: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: connections });
  for (let i = 0; i < 50; i++) await inferOnce(url, head, body, agent);
  const latencies: number[] = [];
  const started = performance.now();
  const until = started + seconds * 1_000;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (performance.now() < until) {
        const sent = performance.now();
        const { status } = await inferOnce(url, head, body, agent);
        if (status !== 200) throw millraceError("ACCEPTANCE_FAILED", `A request was answered with ${status}.`);
        latencies.push(performance.now() - sent);
      }
    }),
  );
  const took = (performance.now() - started) / 1_000;
  agent.destroy();
  latencies.sort((a, b) => a - b);
  const at = (share: number): number =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]!;
  return { requests: latencies.length, seconds: took, p50: at(0.5), p99: at(0.99) };
}
