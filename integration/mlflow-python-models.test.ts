import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { createModelHost } from "../src/api/models/create-model-host.ts";
import type { ModelHost } from "../src/api/models/model-host.ts";
import { createModelSources, type ModelSources, type ModelSourcesOptions } from "../src/api/models/model-sources.ts";
import {
  featureService,
  type Model,
  mlflowModel,
  model,
  requestSource,
  scoringServer,
  t,
} from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { ModelSourceLocation } from "../src/definitions/model.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { freePorts } from "./services/free-ports.ts";
import { type MlflowServer, startMlflow } from "./services/mlflow-server.ts";
import { spawnService } from "./services/spawn-service.ts";

const SCRIPT = fileURLToPath(new URL("mlflow/log_models.py", import.meta.url));
const request = requestSource({ n: t.float64(), spend: t.float64(), amount: t.float64(), word: t.string() });
const numbers = featureService("numbers_v1", {
  features: { n: request.n, spend: request.spend, amount: request.amount },
});
const words = featureService("words_v1", {
  features: { n: request.n, spend: request.spend, amount: request.amount, word: request.word },
});
const ENVIRONMENT = {
  ...process.env,
  MLFLOW_DISABLE_TELEMETRY: "true",
  DO_NOT_TRACK: "true",
  MLFLOW_ALLOW_FILE_STORE: "true",
  GIT_PYTHON_REFRESH: "quiet",
};

interface Said {
  readonly rows: readonly Readonly<Record<string, unknown>>[];
  readonly trees: readonly number[];
  readonly linear: readonly (readonly number[])[];
}

let mlflow: MlflowServer;
let folder: string;
let said: Said;
let sources: ModelSources | null = null;
let host: ModelHost | null = null;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-python-"));
  mlflow = await startMlflow();
  said = log(mlflow.url, "trees_ubj,trees_json,linear");
});
afterAll(async () => {
  await mlflow[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});
afterEach(async () => {
  await host?.close();
  await sources?.close();
});

/** Logs models as a training script does; what the libraries predict for some rows. */
function log(uri: string, wanted: string): Said {
  const run = spawnSync(join(mlflow.bin, "python"), [SCRIPT, uri, wanted], {
    cwd: folder,
    encoding: "utf8",
    env: ENVIRONMENT,
  });
  expect(run.status, run.stderr).toBe(0);
  return JSON.parse(run.stdout.trim().split("\n").at(-1)!) as Said;
}

async function open(
  source: ModelSourceLocation,
  isLinear: boolean,
  options: Partial<ModelSourcesOptions> = {},
): Promise<ModelHost> {
  sources = createModelSources({
    mlflow: { default: { url: mlflow.url, retries: 0 } },
    scoring: {},
    cacheFolder: join(folder, "cache"),
    cacheBytes: 2 ** 30,
    ...options,
  });
  const declared = isLinear
    ? model("m", { inputs: words, output: { no: t.float64(), yes: t.float64() }, source })
    : model("m", { inputs: numbers, output: { probability: t.float64() }, source });
  host = createModelHost({
    models: [(declared as unknown as Model<object, object>)[Meta]],
    sourceOf: sources.sourceOf,
    features: createFeatureStore({
      views: [],
      services: [numbers[Meta], words[Meta]],
      online: memoryOnlineStore(),
      offline: null,
      now: Date.now,
    }),
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log: { info: () => {}, warn: () => {} },
    now: Date.now,
  });
  await host.start();
  return host;
}

const lookups = (isLinear: boolean): readonly Record<string, unknown>[] =>
  said.rows.map(({ word, ...row }) => (isLinear ? { ...row, word } : row));

async function answers(models: ModelHost): Promise<unknown[]> {
  return (await models.predict("m", { rows: lookups(false) })).predictions.map(({ probability }) => probability);
}

/** `mlflow models serve` of a registered model, on a free port. */
async function serveModel(uri: string): Promise<{ readonly url: string; stop(): Promise<void> }> {
  const [port] = await freePorts(1);
  const child: ChildProcess = spawnService(
    join(mlflow.bin, "mlflow"),
    ["models", "serve", "-m", uri, "--env-manager", "local", "--host", "127.0.0.1", "--port", String(port)],
    {
      cwd: folder,
      detached: true,
      stdio: "ignore",
      env: { ...ENVIRONMENT, PATH: `${mlflow.bin}:${process.env.PATH}`, MLFLOW_TRACKING_URI: mlflow.url },
    },
  );
  const url = `http://127.0.0.1:${port}`;
  await expect.poll(async () => (await fetch(`${url}/ping`)).status, { timeout: 120_000, interval: 100 }).toBe(200);
  return {
    url,
    async stop() {
      const ended = once(child, "exit");
      process.kill(-child.pid!, "SIGKILL");
      await ended;
    },
  };
}

describe("models that MLflow's own client logged", () => {
  it.each(["ubj", "json"])("predict as XGBoost does, to the bit (%s)", async (format) => {
    const models = await open(mlflowModel({ name: `trees_${format}` }), false);
    expect(models.get("m").lastFailure).toBeNull();
    expect(await answers(models)).toEqual(said.trees);
  });

  it("serve from this machine's cache when MLflow is away, and follow it again when it is back", async () => {
    const location = mlflowModel({ name: "trees_ubj", alias: "champion" });
    expect(await answers(await open(location, false))).toEqual(said.trees);
    await host?.close();
    await mlflow.stop();
    const models = await open(location, false);
    expect(await answers(models)).toEqual(said.trees);
    await mlflow.start();
    await models.refresh();
    expect(models.get("m").isFailing).toBe(false);
    expect(await answers(models)).toEqual(said.trees);
  });

  it("are refused when they are pickles, which are not even fetched, with what to do instead", async () => {
    const models = await open(mlflowModel({ name: "linear" }), true);
    expect(models.get("m").lastFailure).toMatchObject({
      code: "MODEL_FLAVOR_UNSUPPORTED",
      message: expect.stringMatching(/pickles are never loaded.*onnx.*scoring/s),
    });
    const files = await readdir(join(folder, "cache"), { recursive: true });
    expect(files.some((file) => file.endsWith("MLmodel"))).toBe(true);
    expect(files.filter((file) => file.endsWith(".pkl"))).toEqual([]);
  });

  it("are predicted by MLflow's scoring server where that is named, as the library does; its death is told at once", async () => {
    const server = await serveModel("models:/linear/1");
    try {
      const scoring = { default: { url: server.url, breakerFailures: 2, retries: 0 } };
      for (const source of [mlflowModel({ name: "linear", scoring: "default" }), scoringServer({ version: "1" })]) {
        const models = await open(source, true, { scoring });
        expect(models.get("m").lastFailure).toBeNull();
        const { version, predictions } = await models.predict("m", { rows: lookups(true) });
        expect(version).toBe("1");
        expect(predictions.map(({ no, yes }) => [no, yes])).toEqual(said.linear);
        if (source.location === "mlflow") await models.close();
      }
    } finally {
      await server.stop();
    }
    for (const reason of [undefined, undefined, "CIRCUIT_OPEN"]) {
      const failed = await host!.predict("m", { rows: lookups(true) }).catch((error: unknown) => error);
      expect(failed).toMatchObject({ code: "MODEL_SERVER_UNAVAILABLE" });
      expect((failed as { details: { reason?: string } }).details.reason).toBe(reason);
    }
  });

  it("come from a file store without a server, too", async () => {
    const store = join(folder, "mlruns");
    const { trees } = log(pathToFileURL(store).href, "trees_ubj");
    for (const url of [store, pathToFileURL(store).href]) {
      const models = await open(mlflowModel({ name: "trees_ubj", alias: "champion" }), false, {
        mlflow: { default: { url } },
      });
      expect(models.get("m").lastFailure).toBeNull();
      expect(await answers(models)).toEqual(trees);
      await models.close();
    }
  });
});
