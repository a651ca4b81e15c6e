import { spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createModelHost } from "../src/api/models/create-model-host.ts";
import type { MlflowOptions } from "../src/api/models/mlflow-registry.ts";
import type { ModelHost } from "../src/api/models/model-host.ts";
import { createModelSources, type ModelSources } from "../src/api/models/model-sources.ts";
import { type Model, mlflowModel, model, t } from "../src/definitions/index.ts";
import { Meta } from "../src/definitions/meta.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../src/feature_store/online/memory-online-store.ts";
import { modelFiles, type WrittenModel } from "../test/api/models/write-model.ts";
import { accountActivity, cardActivity, NOW, RISK_COLUMNS, risk } from "../test/api/payments.ts";
import { bearerProxy, type Cut } from "./services/bearer-proxy.ts";
import { debianProgram } from "./services/debian-program.ts";
import { type MlflowServer, startMlflow } from "./services/mlflow-server.ts";

const PASSWORD = "correct horse battery";
const BASIC = `Basic ${Buffer.from(`admin:${PASSWORD}`).toString("base64")}`;
const ROW = { card_id: "c", amount: 2 };

let mlflow: MlflowServer;
let folder: string;
let sources: ModelSources | null;
let host: ModelHost | null;
let logged: string[];
let names = 0;

beforeAll(async () => {
  mlflow = await startMlflow({ password: PASSWORD });
});
afterAll(() => mlflow[Symbol.asyncDispose]());
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-models-"));
  logged = [];
  host = null;
  sources = null;
});
afterEach(async () => {
  await host?.close();
  await sources?.close();
  await rm(folder, { recursive: true, force: true });
});

const basic = (): MlflowOptions => ({ url: mlflow.url, auth: { username: "admin", password: PASSWORD } });
const files = (answer: number, more: Partial<WrittenModel> = {}): Record<string, string> =>
  modelFiles({ answer, features: RISK_COLUMNS, ...more });
const newName = (): string => `risk_${++names}`;

function open(location: Parameters<typeof mlflowModel>[0], server: MlflowOptions = basic()): ModelHost {
  sources = createModelSources({
    mlflow: { default: server },
    scoring: {},
    cacheFolder: join(folder, "models"),
    cacheBytes: 2 ** 30,
  });
  const declared = model("risk", {
    inputs: risk,
    output: { probability: t.float64() },
    source: mlflowModel(location),
  }) as Model<object, object>;
  const note = (facts: object, message: string): void => void logged.push(`${message} ${JSON.stringify(facts)}`);
  host = createModelHost({
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
    log: { info: note, warn: note },
    now: () => NOW,
  });
  return host;
}

const answer = async (models: ModelHost): Promise<[string | null, unknown]> => {
  const { version, predictions } = await models.predict("risk", { rows: [ROW] });
  return [version, predictions[0]?.probability];
};

describe("a model of an MLflow server with basic auth", () => {
  it("is the version that its alias points to, also when that moves back", async () => {
    const name = newName();
    const [one, two] = [await mlflow.register(name, files(1)), await mlflow.register(name, files(2))];
    await mlflow.setAlias(name, "champion", one);
    const models = open({ name, alias: "champion" });
    await models.start();
    expect(await answer(models)).toEqual(["1", 1]);
    await mlflow.setAlias(name, "champion", two);
    await models.refresh();
    expect(await answer(models)).toEqual(["2", 2]);
    await mlflow.setAlias(name, "champion", one);
    await models.refresh();
    expect(await answer(models)).toEqual(["1", 1]);
    expect(models.get("risk").serving?.version.etag).toMatch(/^[0-9a-f]{32}$/);
  });

  it("may be pinned to any version that MLflow has, while its alias stays", async () => {
    const name = newName();
    for (const one of [1, 2, 3]) await mlflow.register(name, files(one));
    await mlflow.setAlias(name, "champion", "3");
    const models = open({ name, alias: "champion" });
    await models.start();
    await models.pin("risk", "1");
    await models.refresh();
    expect(await answer(models)).toEqual(["1", 1]);
    await expect(models.pin("risk", "9")).rejects.toMatchObject({ code: "MODEL_VERSION_UNKNOWN" });
    await expect(models.pin("risk", "nope")).rejects.toMatchObject({ code: "MODEL_VERSION_UNKNOWN" });
    await models.pin("risk", null);
    expect(await answer(models)).toEqual(["3", 3]);
  });

  it("is the newest version, or the one that is named", async () => {
    const name = newName();
    for (const one of [1, 2, 3]) await mlflow.register(name, files(one));
    const newest = open({ name });
    await newest.start();
    expect(await answer(newest)).toEqual(["3", 3]);
    await newest.close();
    const fixed = open({ name, version: 2 });
    await fixed.start();
    expect(await answer(fixed)).toEqual(["2", 2]);
  });

  it("is refused with a wrong password, which nothing that is said or logged shows", async () => {
    const name = newName();
    await mlflow.register(name, files(1));
    const models = open({ name }, { ...basic(), auth: { username: "admin", password: "hunter2-wrong" }, retries: 0 });
    await models.start();
    const failure = models.get("risk").lastFailure;
    expect(failure).toMatchObject({ code: "MODEL_SERVER_DENIED" });
    const all = JSON.stringify(failure) + logged.join("\n");
    expect(all).toContain("MODEL_SERVER_DENIED");
    expect(all).not.toContain("hunter2");
    expect(all).not.toContain(Buffer.from("admin:hunter2-wrong").toString("base64"));
  });

  it("says what is missing when there is no such model, alias or version", async () => {
    const name = newName();
    await mlflow.register(name, files(1));
    for (const location of [{ name: "nope" }, { name, alias: "nope" }, { name, version: 7 }, { name: "it's" }]) {
      const models = open(location);
      await models.start();
      expect(models.get("risk").lastFailure, JSON.stringify(location)).toMatchObject({ code: "MODEL_NOT_FOUND" });
      await models.close();
    }
  });
});

describe("a model of an MLflow behind a proxy that wants a token", () => {
  it("is served with the token, also from a file that changes, and refused without", async () => {
    const name = newName();
    await mlflow.register(name, files(4));
    await using proxy = await bearerProxy(mlflow.url, "t0ken", BASIC);
    const models = open({ name }, { url: proxy.url, auth: { token: "t0ken" } });
    await models.start();
    expect(await answer(models)).toEqual(["1", 4]);
    await models.close();

    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "stale\n");
    const later = open({ name }, { url: proxy.url, auth: { tokenFile } });
    await later.start();
    expect(later.get("risk").lastFailure).toMatchObject({ code: "MODEL_SERVER_DENIED" });
    await writeFile(tokenFile, "t0ken\n");
    await later.refresh();
    expect(await answer(later)).toEqual(["1", 4]);
  });

  it("is reached over TLS by its authority, not without it, nor under another name", async () => {
    const name = newName();
    await mlflow.register(name, files(6));
    const made = spawnSync(
      debianProgram("openssl", { probe: ["version"] }),
      [
        ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=mlflow"],
        ...["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", join(folder, "key"), "-out", join(folder, "cert")],
      ],
      { encoding: "utf8" },
    );
    expect(made.status, made.stderr).toBe(0);
    const [key, cert] = await Promise.all(["key", "cert"].map((file) => readFile(join(folder, file), "utf8")));
    await using proxy = await bearerProxy(mlflow.url, "t", BASIC, () => null, { key: key!, cert: cert! });
    const server = { url: proxy.url, auth: { token: "t" }, retries: 0 };
    for (const tls of [{}, { ca: cert!, serverName: "elsewhere" }]) {
      const models = open({ name }, { ...server, tls });
      await models.start();
      expect(models.get("risk").lastFailure).toMatchObject({
        code: "MODEL_SERVER_UNAVAILABLE",
        message: expect.stringMatching(/self-signed|does not match/),
      });
      await models.close();
    }
    const models = open({ name }, { ...server, tls: { ca: cert! } });
    await models.start();
    expect(await answer(models)).toEqual(["1", 6]);
  });

  it("is downloaded once, and goes on where a broken connection ended", async () => {
    const name = newName();
    // So long that the cut falls into the middle.
    const big = { ...files(5), "notes.txt": "x".repeat(300_000) };
    await mlflow.register(name, big);
    let cuts = 0;
    const kept = async (): Promise<number> => {
      const parts = join(folder, "models", "parts");
      return Math.max(
        ...(await Promise.all((await readdir(parts)).map(async (name) => (await stat(join(parts, name))).size))),
      );
    };
    const cut = (path: string): Cut | null => {
      if (!path.endsWith("/notes.txt") || cuts === 2) return null;
      const wanted = ++cuts * 100_000;
      return { bytes: 100_000, when: () => expect.poll(kept, { timeout: 60_000 }).toBe(wanted) };
    };
    await using proxy = await bearerProxy(mlflow.url, "t", BASIC, cut);
    const server = { url: proxy.url, auth: { token: "t" } };
    const models = open({ name }, server);
    await models.start();
    expect(await answer(models)).toEqual(["1", 5]);
    const ranges = proxy.requests.filter((request) => request.includes("/notes.txt"));
    expect(ranges.map((request) => request.split(" ")[2])).toEqual([undefined, "bytes=100000-", "bytes=200000-"]);
    const [tree] = await readdir(join(folder, "models", "trees"));
    expect(await readFile(join(folder, "models", "trees", tree!, "notes.txt"), "utf8")).toBe(big["notes.txt"]);
    await models.close();
    await sources?.close();

    const before = proxy.requests.length;
    const again = open({ name }, server);
    await again.start();
    expect(await answer(again)).toEqual(["1", 5]);
    expect(proxy.requests.slice(before).filter((request) => request.includes("/artifacts/"))).toEqual([]);
  });
});
