import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../../src/definitions/errors.ts";
import { answers } from "../services/answers.ts";
import { type MillraceProcess, millraceProcess } from "../services/millrace-process.ts";
import { MLFLOW } from "../services/mlflow-version.ts";
import { pythonEnvironment } from "../services/python-environment.ts";
import { spawnService } from "../services/spawn-service.ts";

/** The clients that are run, as pip wants them. KServe's package has its model server too. */
export const CLIENTS: readonly string[] = ["tritonclient[http]==2.73.0", "kserve==0.21.0"];
export const MLSERVER: readonly string[] = ["mlserver==1.7.1"];

export interface ClientCheck {
  readonly client: string;
  readonly what: string;
  readonly passed: boolean;
  /** What was found instead. */
  readonly found: string | null;
}

/** A Millrace that serves a model of MLflow's making, with a feature to look up; and rows with the library's predictions. */
export interface ServedModel extends AsyncDisposable {
  readonly millrace: MillraceProcess;
  readonly modelFolder: string;
  readonly rowsFile: string;
  readonly folder: string;
}

export interface ExpectedRows {
  readonly rows: Readonly<Record<"spend" | "amount" | "n_trips" | "is_new", readonly (number | boolean)[]>>;
  readonly predictions: readonly number[];
}

const file = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

export async function serveModel(): Promise<ServedModel> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-protocols-"));
  const modelFolder = join(folder, "model");
  const rowsFile = join(folder, "rows.json");
  run(join(pythonEnvironment(MLFLOW), "python"), [file("make_model.py"), modelFolder, rowsFile]);
  const millrace = await millraceProcess(file("millrace.config.ts"), { PROTOCOLS_MODEL: modelFolder });
  const at = new Date(Date.now() - 60_000).toISOString();
  const pushed = await fetch(`${millrace.url}/v1/sources/payments/events`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify([{ payment_id: "p1", card_id: "c1", amount: 42.5, at }]),
  });
  if (pushed.status !== 202) throw failed(`an event was not taken: ${await pushed.text()}`);
  const deadline = performance.now() + 30_000;
  while (!(await features(millrace.url)).includes('"spend":42.5')) {
    if (performance.now() > deadline) throw failed("the pushed event did not become a feature");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return {
    millrace,
    modelFolder,
    rowsFile,
    folder,
    async [Symbol.asyncDispose]() {
      await millrace[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function features(url: string): Promise<string> {
  const rows = [{ card_id: "c1", amount: 1, n_trips: 1, is_new: false }];
  const answer = await fetch(`${url}/v1/models/risk/predict`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ rows, include_features: true }),
  });
  return answer.text();
}

/** `tritonclient[http]` and KServe's `InferenceRESTClient`. */
export function openInferenceChecks({ millrace, rowsFile }: ServedModel): readonly ClientCheck[] {
  return JSON.parse(
    run(join(pythonEnvironment(CLIENTS), "python"), [file("open_inference_clients.py"), millrace.url, rowsFile]),
  ) as ClientCheck[];
}

/** pandas and pyarrow. */
export function batchChecks({ millrace, rowsFile }: ServedModel): readonly ClientCheck[] {
  return JSON.parse(
    run(join(pythonEnvironment(MLFLOW), "python"), [file("batch_client.py"), millrace.url, rowsFile]),
  ) as ClientCheck[];
}

/** `mlserver infer` with requests of one row, which it joins to batches, and of a data frame's columns. */
export async function mlserverChecks({ millrace, rowsFile, folder }: ServedModel): Promise<readonly ClientCheck[]> {
  const { rows, predictions } = JSON.parse(await readFile(rowsFile, "utf8")) as ExpectedRows;
  const names = ["spend", "amount", "n_trips", "is_new"] as const;
  const count = 200;
  const checks: ClientCheck[] = [];
  const forms = {
    "a row per request": (r: number) => ({
      inputs: [{ name: "x", shape: [1, 4], datatype: "FP64", data: names.map((name) => Number(rows[name][r])) }],
    }),
    "a data frame per request": (r: number) => ({
      parameters: { content_type: "pd" },
      inputs: names.map((name) => ({
        name,
        shape: [1, 1],
        datatype: name === "n_trips" ? "INT64" : name === "is_new" ? "BOOL" : "FP64",
        parameters: { content_type: "np" },
        data: [rows[name][r]],
      })),
    }),
  };
  for (const [what, request] of Object.entries(forms)) {
    for (const [batch, binary] of [
      [1, false],
      [16, false],
      [16, true],
    ] as const) {
      const input = join(folder, "requests.jsonl");
      const output = join(folder, "answers.jsonl");
      const lines = Array.from({ length: count }, (_, r) => JSON.stringify(request(r)));
      await writeFile(input, `${lines.join("\n")}\n`);
      const host = millrace.url.replace("http://", "");
      const options = ["-u", host, "-m", "risk", "-i", input, "-o", output, "-s", String(batch), "-w", "4"];
      run(join(pythonEnvironment(MLSERVER), "mlserver"), ["infer", ...options, ...(binary ? ["-b"] : [])]);
      const found = (await readFile(output, "utf8")).trim().split("\n");
      const values = found.map((line) => JSON.parse(line).outputs?.[0]?.data?.flat()[0]).sort();
      const wanted = predictions.slice(0, count).map(Number).sort();
      const passed = JSON.stringify(values) === JSON.stringify(wanted);
      checks.push({
        client: "mlserver infer",
        what: `${what}, ${batch} joined${binary ? ", binary" : ""}`,
        passed,
        found: passed ? null : found.slice(0, 2).join("\n"),
      });
      await rm(output);
    }
  }
  return checks;
}

/** `mlflow models serve` of the same model; the port is free. */
export async function mlflowServe(
  modelFolder: string,
  port: number,
): Promise<AsyncDisposable & { readonly url: string }> {
  const bin = pythonEnvironment(MLFLOW);
  const child = spawnService(
    join(bin, "mlflow"),
    ["models", "serve", "-m", modelFolder, "--env-manager", "local", "-h", "127.0.0.1", "-p", String(port)],
    // It starts uvicorn by name, and that in a group of its own which ends with it.
    {
      env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
      stdio: ["ignore", "ignore", "pipe"],
      detached: true,
    },
  );
  let said = "";
  child.stderr!.on("data", (data: Buffer) => {
    said = (said + String(data)).slice(-5_000);
  });
  const ended = once(child, "exit");
  const url = `http://127.0.0.1:${port}`;
  const deadline = performance.now() + 120_000;
  while (!(await answers(`${url}/ping`))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      process.kill(-child.pid!, "SIGKILL");
      throw failed(`mlflow models serve did not start: ${said}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    url,
    async [Symbol.asyncDispose]() {
      process.kill(-child.pid!, "SIGTERM");
      await ended;
    },
  };
}

function run(program: string, args: readonly string[]): string {
  const result = spawnSync(program, args, { encoding: "utf8", maxBuffer: 2 ** 26 });
  if (result.status === 0) return result.stdout.trim().split("\n").at(-1) ?? "";
  throw failed(`${program} ${args.slice(0, 2).join(" ")}: ${(result.error?.message ?? result.stderr).slice(-3_000)}`);
}

function failed(why: string): Error {
  return new MillraceError("TOOL_FAILED", why, { kind: "operational" });
}
