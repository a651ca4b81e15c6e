import { type ChildProcess, type ExecFileSyncOptions, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { SERVING_PEERS } from "../integration/services/serving-peers.ts";
import { millraceError } from "../src/definitions/errors.ts";

/** A server under measurement. */
export interface Contestant {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** From the start of its program to the first answer. */
  readonly startSeconds: number;
  stop(): Promise<void>;
}

/** The model of `serving/train.py`, in every form. */
export interface ServingModel {
  readonly folder: string;
  readonly rows: readonly (readonly number[])[];
  /** Of the first rows, as XGBoost predicts them. */
  readonly expected: readonly number[];
}

const here = (name: string): string => fileURLToPath(new URL(`serving/${name}`, import.meta.url));
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

/** Trains once per folder. */
export async function trainServingModel(folder: string, trees = 100): Promise<ServingModel> {
  const quiet: ExecFileSyncOptions = { stdio: ["ignore", "ignore", "inherit"] };
  execFileSync(
    join(pythonEnvironment(SERVING_PEERS.trainer), "python"),
    [here("train.py"), folder, String(trees)],
    quiet,
  );
  execFileSync(join(pythonEnvironment(SERVING_PEERS.mlflow), "python"), [here("save_mlflow.py"), folder], quiet);
  const lines = async (file: string): Promise<string[]> =>
    (await readFile(join(folder, file), "utf8")).trim().split("\n");
  return {
    folder,
    rows: (await lines("rows.csv")).map((line) => line.split(",").map(Number)),
    expected: (await lines("expected.csv")).map(Number),
  };
}

/** Of one process: it has the first core, what sends the load the other. */
const alone = (processes: number): string[] => (processes === 1 ? ["taskset", "-c", "0"] : []);

/** Sends the load from the second core while one process has the first, else from any. */
export function pinLoad(processes: number): void {
  spawnSync("taskset", ["-a", "-p", "-c", processes === 1 ? "1" : "0-1", String(process.pid)], { stdio: "ignore" });
}

export async function startMillrace(
  model: ServingModel,
  processes: number,
  more: Readonly<Record<string, string>> = {},
): Promise<Contestant> {
  const port = await freePort();
  const data = join(tmpdir(), `millrace-serving-${process.pid}-${port}`);
  const env = {
    SERVING_MODEL: join(model.folder, "mlflow"),
    MILLRACE_PORT: String(port),
    MILLRACE_DATA: data,
    MILLRACE_LOG_LEVEL: "error",
    MILLRACE_PROCESSES: String(processes),
    ...more,
  };
  const command = [...alone(processes), process.execPath, MAIN, "--config", here("millrace.config.ts"), "serve"];
  return started(`Millrace, ${processes} process${processes > 1 ? "es" : ""}`, command, env, port, "/readyz");
}

export async function startFastapi(
  model: ServingModel,
  workers: number,
  more: Readonly<Record<string, string>> = {},
): Promise<Contestant> {
  const port = await freePort();
  const uvicorn = join(pythonEnvironment(SERVING_PEERS.fastapi), "uvicorn");
  const args = ["fastapi_app:app", "--app-dir", here("."), "--port", String(port), "--workers", String(workers)];
  const command = [...alone(workers), uvicorn, ...args, "--no-access-log", "--log-level", "warning"];
  const env = { SERVING_ONNX: join(model.folder, "model.onnx"), ...more };
  return started(
    `FastAPI + uvicorn + onnxruntime, ${workers} worker${workers > 1 ? "s" : ""}`,
    command,
    env,
    port,
    "/health",
  );
}

/** Without workers of its own, which for a model this small only cost. */
export async function startMlserver(model: ServingModel): Promise<Contestant> {
  const port = await freePort();
  const folder = join(model.folder, "mlserver");
  await mkdir(folder, { recursive: true });
  const settings = {
    http_port: port,
    grpc_port: await freePort(),
    metrics_port: await freePort(),
    parallel_workers: 0,
    debug: false,
    access_log: false,
  };
  await writeFile(join(folder, "settings.json"), JSON.stringify(settings));
  const parameters = { uri: join(model.folder, "model.ubj") };
  const implementation = "mlserver_xgboost.XGBoostModel";
  await writeFile(join(folder, "model-settings.json"), JSON.stringify({ name: "serving", implementation, parameters }));
  const bin = pythonEnvironment(SERVING_PEERS.mlserver);
  return started(
    "MLServer",
    [...alone(1), join(bin, "mlserver"), "start", folder],
    {},
    port,
    "/v2/models/serving/ready",
  );
}

export async function startMlflow(model: ServingModel): Promise<Contestant> {
  const port = await freePort();
  const bin = pythonEnvironment(SERVING_PEERS.mlflow);
  const args = ["models", "serve", "-m", join(model.folder, "mlflow"), "-p", String(port), "--env-manager", "local"];
  const env = { PATH: `${bin}:${process.env.PATH}` };
  return started("mlflow models serve", [...alone(1), join(bin, "mlflow"), ...args], env, port, "/ping");
}

export async function startBentoml(model: ServingModel): Promise<Contestant> {
  const port = await freePort();
  const bin = pythonEnvironment(SERVING_PEERS.bentoml);
  const args = ["serve", "bentoml_service:Serving", "--working-dir", here("."), "--port", String(port)];
  const env = {
    SERVING_ONNX: join(model.folder, "model.onnx"),
    BENTOML_HOME: join(model.folder, "bentoml"),
    BENTOML_DO_NOT_TRACK: "true",
    PATH: `${bin}:${process.env.PATH}`,
  };
  return started("BentoML", [...alone(1), join(bin, "bentoml"), ...args], env, port, "/readyz");
}

async function started(
  name: string,
  [program, ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
  port: number,
  health: string,
): Promise<Contestant> {
  const begun = performance.now();
  const child = spawn(program!, args, {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "pipe"],
    detached: true,
  });
  let said = "";
  child.stderr!.on("data", (data: Buffer) => {
    said = (said + data.toString()).slice(-2_000);
  });
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = begun + 90_000; !(await fetch(url + health).catch(() => null))?.ok; ) {
    if (performance.now() > deadline || child.exitCode !== null) {
      await stop(child);
      throw millraceError("TOOL_FAILED", `${name} did not start: ${said}`, { kind: "operational" });
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    name,
    url,
    pid: child.pid!,
    startSeconds: (performance.now() - begun) / 1_000,
    stop: () => stop(child),
  };
}

/** With all that it started. */
async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), 15_000);
    await ended;
    clearTimeout(timer);
  }
  try {
    process.kill(-child.pid!, "SIGKILL");
  } catch {
    // Nothing of its group is left.
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}
