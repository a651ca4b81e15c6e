import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createModelHost } from "../src/api/models/create-model-host.ts";
import type { ModelHost } from "../src/api/models/model-host.ts";
import { createModelSources, type ModelSources } from "../src/api/models/model-sources.ts";
import { type Model, mlflowModel, model, t } from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { createMetrics, type Metrics } from "../src/monitoring/metrics.ts";
import { modelFiles } from "../test/api/models/write-model.ts";
import { accountActivity, cardActivity, NOW, RISK_COLUMNS, risk } from "../test/api/payments.ts";
import { type Fault, type FaultProxy, faultProxy } from "./services/fault-proxy.ts";
import { type MlflowServer, startMlflow } from "./services/mlflow-server.ts";

const HTML = "<!doctype html><title>Sign in</title>";
let mlflow: MlflowServer;
let proxy: FaultProxy;
let folder: string;
let sources: ModelSources;
let models: ModelHost;
let metrics: Metrics;
let name = "";
let names = 0;

beforeAll(async () => {
  mlflow = await startMlflow();
  proxy = await faultProxy(mlflow.url);
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await mlflow?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-faults-"));
  proxy.faultOf = () => null;
  name = `risk_${++names}`;
  await mlflow.setAlias(name, "champion", await mlflow.register(name, filesOf(1)));
});
afterEach(async () => {
  await close();
  await rm(folder, { recursive: true, force: true });
});

const filesOf = (answer: number): Record<string, string> => ({
  ...modelFiles({ answer, features: RISK_COLUMNS }),
  // So that it takes more than one packet, and some disk.
  "notes.txt": String(answer).repeat(300_000),
});

async function open(cacheFolder = join(folder, "models")): Promise<void> {
  sources = createModelSources({
    mlflow: { default: { url: proxy.url, timeoutMs: 1_000, retries: 0 } },
    scoring: {},
    cacheFolder,
    cacheBytes: 2 ** 30,
  });
  const declared = model("risk", {
    inputs: risk,
    output: { probability: t.float64() },
    source: mlflowModel({ name, alias: "champion" }),
  }) as Model<object, object>;
  metrics = createMetrics({ thread: "main" });
  models = createModelHost({
    models: [declared[Meta]],
    sourceOf: sources.sourceOf,
    features: createFeatureStore({
      views: [cardActivity[Meta], accountActivity[Meta]],
      services: [risk[Meta]],
      online: memoryOnlineStore(),
      offline: null,
      now: () => NOW,
    }),
    pollSeconds: 3_600,
    cacheBytes: 2 ** 30,
    log: { info: () => {}, warn: () => {} },
    now: () => NOW,
  });
  await models.start();
}
async function close(): Promise<void> {
  await models.close();
  await sources.close();
  metrics.close();
}

const served = async (): Promise<unknown> => {
  const { version, predictions } = await models.predict("risk", { rows: [{ card_id: "c", amount: 2 }] });
  return [version, predictions[0]?.probability];
};
const failing = async (): Promise<string | undefined> =>
  /^millrace_model_update_failing\{model="risk"\} (\d)$/m.exec((await metrics.render("text/plain")).body)?.[1];

/** The second version is to serve, and cannot; the first one goes on; once the fault is gone the second one serves. */
async function outlive(fault: (path: string) => Fault | null, code: string, message: RegExp): Promise<void> {
  await open();
  expect(await served()).toEqual(["1", 1]);
  await mlflow.setAlias(name, "champion", await mlflow.register(name, filesOf(2)));
  proxy.faultOf = fault;
  // An operator's act: what failed is tried again at once.
  await models.load("risk");
  expect(await served()).toEqual(["1", 1]);
  expect(models.get("risk").lastFailure).toMatchObject({ code, message: expect.stringMatching(message) });
  expect(await failing()).toBe("1");
  proxy.faultOf = () => null;
  await models.load("risk");
  expect(await served()).toEqual(["2", 2]);
  expect(await failing()).toBe("0");
}

const isRegistry = (path: string): boolean => path.startsWith("/api/2.0/mlflow/");
const isFile = (path: string): boolean => path.endsWith("/model.json");
const page = (answer: number): Fault => ({ answer, type: "text/html", body: HTML });

describe("an MLflow server that fails while a version is about to be exchanged", () => {
  it.each<[string, (path: string) => Fault | null, string, RegExp]>([
    ["does not answer", () => "silence", "MODEL_SERVER_UNAVAILABLE", /within 1000 ms/],
    ["ends connections", () => "reset", "MODEL_SERVER_UNAVAILABLE", /ECONNRESET|hang up/],
    ["answers 500", () => page(500), "MODEL_SERVER_UNAVAILABLE", /with 500/],
    ["is restarting behind a proxy", () => page(503), "MODEL_SERVER_UNAVAILABLE", /with 503/],
    ["answers with a page to sign in", () => page(200), "MODEL_SERVER_UNAVAILABLE", /is this an MLflow server/],
    ["no longer takes the token", () => page(401), "MODEL_SERVER_DENIED", /check the user and password or the token/],
    ["sends on to a page to sign in", () => page(302), "MODEL_SERVER_UNAVAILABLE", /not followed: name that address/],
    ["cuts files off", (path) => (isFile(path) ? "half" : null), "MODEL_SERVER_UNAVAILABLE", /model\.json/],
    [
      "has a page in place of a file",
      (path) => (isFile(path) ? page(200) : null),
      "MODEL_SERVER_UNAVAILABLE",
      /came with/,
    ],
    ["has silent artifacts", (path) => (isRegistry(path) ? null : "silence"), "MODEL_SERVER_UNAVAILABLE", /1000 ms/],
  ])("that %s leaves the version that serves, says why, and is followed again", async (_what, fault, code, message) => {
    await outlive(fault, code, message);
  });

  it("as a whole stops and starts: the version that serves goes on, and the next one follows", async () => {
    await open();
    await mlflow.stop();
    await models.load("risk");
    expect(await served()).toEqual(["1", 1]);
    expect(models.get("risk").lastFailure?.code).toBe("MODEL_SERVER_UNAVAILABLE");
    await mlflow.start();
    await mlflow.setAlias(name, "champion", await mlflow.register(name, filesOf(2)));
    await models.load("risk");
    expect(await served()).toEqual(["2", 2]);
  });

  it("no longer has the alias, or the version: what serves goes on, and the failure says what to do", async () => {
    await open();
    await mlflow.ask("DELETE", "/api/2.0/mlflow/registered-models/alias", { name, alias: "champion" });
    await models.load("risk");
    expect(await served()).toEqual(["1", 1]);
    expect(models.get("risk").lastFailure).toMatchObject({
      code: "MODEL_NOT_FOUND",
      message: expect.stringContaining("set the alias"),
    });
    expect(await failing()).toBe("1");
    await mlflow.ask("DELETE", "/api/2.0/mlflow/model-versions/delete", { name, version: "1" });
    await models.load("risk");
    expect(await served()).toEqual(["1", 1]);
    await mlflow.setAlias(name, "champion", await mlflow.register(name, filesOf(2)));
    await models.load("risk");
    expect(await served()).toEqual(["2", 2]);
    expect(await failing()).toBe("0");
  });
});

describe("the cache of models", () => {
  it("that has no room for a version leaves the one that serves, says so, and takes it once there is room", async () => {
    const disk = join(folder, "disk");
    await mkdir(disk);
    const mounted = spawnSync("/bin/mount", ["-t", "tmpfs", "-o", "size=4m", "tmpfs", disk]).status === 0;
    if (!mounted) return console.warn("A full disk for models is not tested: a small one cannot be mounted.");
    try {
      await open(disk);
      await mlflow.setAlias(name, "champion", await mlflow.register(name, filesOf(2)));
      const { bavail, bsize } = await statfs(disk);
      await writeFile(join(disk, "fill"), Buffer.alloc(bavail * bsize - 65_536));
      await models.load("risk");
      expect(await served()).toEqual(["1", 1]);
      expect(models.get("risk").lastFailure).toMatchObject({
        code: "MODEL_CACHE_UNAVAILABLE",
        message: expect.stringContaining("the disk is full"),
      });
      expect(await failing()).toBe("1");
      await rm(join(disk, "fill"));
      await models.load("risk");
      expect(await served()).toEqual(["2", 2]);
      await close();
      await open(disk);
      expect(await served()).toEqual(["2", 2]);
    } finally {
      spawnSync("/bin/umount", ["-l", disk]);
    }
  });
});
