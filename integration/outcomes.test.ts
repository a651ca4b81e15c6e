import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { outcomeQuality } from "../src/feature_engineering/outcomes/outcome-quality.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { pythonEnvironment } from "./services/python-environment.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";
import { spawnService } from "./services/spawn-service.ts";

const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const INDEX = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
/** The model says what the request says, so that the test knows every answer. */
const FEATURES = `
import { entity, featureService, featureView, httpPush, latest, model, outcome, requestSource, streamSource, t } from ${INDEX};
const card = entity("card", { card_id: t.string() });
export const verdicts = streamSource("verdicts", {
  stream: httpPush(), eventTime: "at", lateness: "1s", id: "id", version: "version",
  schema: {
    id: t.string(), card_id: t.string(), prediction: t.string().nullable(), fraud: t.bool(),
    loss: t.float64(), at: t.timestamp(), version: t.int32(),
  },
});
export const known = featureView("known", { source: verdicts, entity: card, features: { fraud: latest(verdicts.fraud) } });
const request = requestSource({ score: t.float64(), guess: t.float64() });
export const risk = featureService("risk", { features: { fraud: known.fraud, score: request.score, guess: request.guess } });
export const fraud = model("fraud", {
  inputs: risk,
  output: { probability: t.float64(), loss: t.float64() },
  predict: ({ score, guess }) => ({ probability: score, loss: guess }),
  predictionLog: { sampleRate: 1 },
  version: "1",
});
const told = { model: fraud, source: verdicts, within: "1d" };
export const frauds = outcome("frauds", {
  ...told, keys: { card_id: verdicts.card_id }, label: verdicts.fraud, predicted: "probability", bounds: { auc: 0.99 },
});
export const losses = outcome("losses", { ...told, predictionId: verdicts.prediction, label: verdicts.loss, predicted: "loss" });
`;
const SCRIPT = `
import json, sys
import numpy as np
from sklearn.metrics import roc_auc_score, log_loss, brier_score_loss, accuracy_score, mean_absolute_error, root_mean_squared_error
from sklearn.calibration import calibration_curve
out = []
for kind, y, p, w in json.load(sys.stdin):
    y, w = np.array(y), np.array(w)
    p = np.array(p)
    if kind == "binary":
        true, mean = calibration_curve(y, p, n_bins=10)
        out.append([roc_auc_score(y, p, sample_weight=w), log_loss(y, p, sample_weight=w), brier_score_loss(y, p, sample_weight=w),
          accuracy_score(y, p >= 0.5, sample_weight=w), list(true), list(mean)])
    elif kind == "regression":
        out.append([mean_absolute_error(y, p, sample_weight=w), root_mean_squared_error(y, p, sample_weight=w)])
    else:
        labels = ["a", "b", "c"]
        out.append([log_loss(y, p, sample_weight=w, labels=labels), accuracy_score(y, np.array(labels)[p.argmax(axis=1)], sample_weight=w)])
json.dump(out, sys.stdout)
`;

type Case = readonly [kind: string, labels: unknown[], answers: unknown[], weights: number[]];

// biome-ignore lint/suspicious/noExplicitAny: lists of lists of numbers
function scikitLearn(cases: readonly Case[]): any[] {
  const python = join(pythonEnvironment(["scikit-learn==1.9.1", "scipy==1.17.1", "numpy==2.4.6"]), "python");
  const { stdout, stderr } = spawnSync(python, ["-c", SCRIPT], { input: JSON.stringify(cases), encoding: "utf8" });
  expect(stderr).toBe("");
  return JSON.parse(stdout) as unknown[];
}

let state = 7;
const random = (): number => {
  state = (state * 48_271) % 2_147_483_647;
  return state / 2_147_483_647;
};

it("has scikit-learn's measures, weighted or not, of random predictions", () => {
  const cases = Array.from({ length: 60 }, (_, i): Case => {
    const rows = Array.from({ length: 30 + Math.floor(random() * 300) }, (_row, row) => row);
    const weights = rows.map(() => (i % 2 === 0 ? 1 : 1 + Math.floor(random() * 10)));
    if (i % 3 === 0) {
      const answers = rows.map(() => Math.round(random() * 50) / 50);
      return ["binary", answers.map((answer, row) => (row < 2 ? row : Number(random() < answer))), answers, weights];
    }
    if (i % 3 === 1) return ["regression", rows.map(() => random() * 100), rows.map(() => random() * 100), weights];
    const answers = rows.map(() => {
      const parts = [random(), random(), random()];
      return parts.map((part) => part / (parts[0]! + parts[1]! + parts[2]!));
    });
    return ["classes", rows.map((row) => ["a", "b", "c"][row % 3]), answers, weights];
  });
  for (const [i, theirs] of scikitLearn(cases).entries()) {
    const [kind, labels, answers, weights] = cases[i]!;
    const pairs = labels.map((label, row) => ({
      label: label as number,
      answer: answers[row] as number,
      weight: weights[row]!,
    }));
    const { metrics, calibration } = outcomeQuality(kind as "binary", pairs, ["a", "b", "c"]);
    const names = {
      binary: ["auc", "log_loss", "brier", "accuracy"],
      regression: ["mae", "rmse"],
      classes: ["log_loss", "accuracy"],
    }[kind as "binary"] as ("auc" | "log_loss")[];
    for (const [at, name] of names.entries()) expect(metrics[name]!.value, name).toBeCloseTo(theirs[at], 12);
    if (kind !== "binary" || i % 2 === 1) continue;
    const filled = calibration.filter(({ rows }) => rows > 0);
    for (const [at, { observed, predicted }] of filled.entries()) {
      expect(observed).toBeCloseTo(theirs[4][at], 12);
      expect(predicted).toBeCloseTo(theirs[5][at], 12);
    }
  }
});

let folder = "";
let redis: RedisServer;
let postgres: PostgresServer;
const children = new Set<ChildProcess>();

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-outcomes-"));
  await writeFile(join(folder, "features.ts"), FEATURES);
  await writeFile(
    join(folder, "millrace.config.ts"),
    'export default { declarations: "./features.ts", logLevel: "error", quality: { outcomeSeconds: 0.2 } };\n',
  );
  [redis, postgres] = await Promise.all([startRedis({}), startPostgres()]);
});
afterAll(async () => {
  for (const child of children) child.kill("SIGKILL");
  await Promise.all([redis?.remove(), postgres?.remove()]);
  await rm(folder, { recursive: true, force: true });
});

interface Server {
  readonly url: string;
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

async function start(command: readonly string[], env: Readonly<Record<string, string>>): Promise<Server> {
  const child = spawnService(process.execPath, [MAIN, ...command], {
    cwd: folder,
    env: { ...process.env, MILLRACE_PORT: "0", MILLRACE_ADMIN_TOKEN: "it-is-the-operators", ...env },
    stdio: ["ignore", "ignore", "pipe"],
  });
  children.add(child);
  let text = "";
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.stderr!.on("data", (data) => {
      text += data;
      if (text.includes("Ready.")) resolve();
    });
    child.once("close", () => reject(new TypeError(text)));
  });
  return {
    url: /serves at (\S+)/.exec(text)![1]!,
    async stop(signal) {
      child.kill(signal);
      await ended;
      children.delete(child);
    },
  };
}

async function post(url: string, path: string, body: unknown, headers: object = {}): Promise<Response> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", connection: "close", ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new TypeError(await response.text());
  return response;
}

// biome-ignore lint/suspicious/noExplicitAny: reports of both kinds
async function outcomes(url: string): Promise<any> {
  const response = await fetch(`${url}/v1/quality/risk`, {
    headers: { authorization: "Bearer it-is-the-operators", connection: "close" },
  });
  const { outcomes: found } = (await response.json()) as { outcomes: { outcome: string }[] };
  return Object.fromEntries(found.map((one) => [one.outcome, one]));
}

async function until(look: () => Promise<unknown>, expected: object): Promise<void> {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const found = await look();
    try {
      expect(found).toMatchObject(expected);
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await pause(100);
  }
}

const ROWS = 240;

/** Predicts through some processes, tells outcomes through others, and asks any of them. */
async function followed(
  servers: { readonly predict: string[]; readonly tell: string; readonly ask: string[] },
  restart: () => Promise<string>,
): Promise<void> {
  const cards: { card_id: string; score: number; guess: number; fraud: boolean; loss: number; prediction: string }[] =
    [];
  for (let from = 0; from < ROWS; from += 8) {
    const rows = Array.from({ length: 8 }, (_, i) => {
      const score = Math.round(random() * 40) / 40;
      return { card_id: `c${from + i}`, score, guess: score * 100 };
    });
    const url = servers.predict[(from / 8) % servers.predict.length]!;
    const answer = await post(url, "/v1/models/fraud/predict", { rows });
    const id = answer.headers.get("millrace-prediction-id")!;
    for (const [i, row] of rows.entries()) {
      const fraud = from + i < 2 ? from + i === 1 : random() < row.score;
      cards.push({ ...row, fraud, loss: row.guess + random() * 20 - 15, prediction: `${id}:${i}` });
    }
  }
  const told = cards.slice(0, 200).map(({ card_id, fraud, loss, prediction }, i) => ({
    id: `v${i}`,
    card_id,
    prediction,
    // The first ten are corrected below.
    fraud: i < 10 ? !fraud : fraud,
    loss,
    at: new Date().toISOString(),
    version: 1,
  }));
  const push = (events: readonly object[], key: string): Promise<Response> =>
    post(servers.tell, "/v1/sources/verdicts/events?wait=readable", events, { "idempotency-key": key });
  for (let from = 0; from < told.length; from += 50) {
    await push(told.slice(from, from + 50), `told ${from}`);
    await push(told.slice(from, from + 50), `told ${from}`);
  }
  const corrected = told
    .slice(0, 10)
    .map((one) => ({ ...one, id: `${one.id} corrected`, fraud: !one.fraud, version: 2 }));
  await push(corrected, "corrected");
  await push(corrected, "corrected again");

  const known = cards.slice(0, 200);
  const ones = known.map(() => 1);
  const [binary, regression] = scikitLearn([
    ["binary", known.map(({ fraud }) => Number(fraud)), known.map(({ score }) => score), ones],
    ["regression", known.map(({ loss }) => loss), known.map(({ guess }) => guess), ones],
  ]);
  const close = (value: number): object => ({ value: expect.closeTo(value, 10) });
  const whole = {
    matched: 200,
    unmatched: 0,
    metrics: { auc: close(binary[0]), log_loss: close(binary[1]), brier: close(binary[2]), accuracy: close(binary[3]) },
  };
  const expected = {
    frauds: {
      waiting: 40,
      degraded: true,
      bounds: [{ metric: "auc", bound: 0.99, broken: true }],
      windows: [{ window: "recent", ...whole, versions: [{ version: "1", ...whole }] }, whole, whole],
    },
    losses: { waiting: 40, windows: [{ metrics: { mae: close(regression[0]), rmse: close(regression[1]) } }, {}, {}] },
  };
  for (const url of servers.ask) {
    await until(() => outcomes(url), expected);
    const metrics = async (): Promise<string> =>
      (await fetch(`${url}/metrics`, { headers: { connection: "close" } })).text();
    const rows =
      'millrace_model_quality_rows{model="fraud",outcome="frauds",version="all",window="1d",state="matched"} 200';
    await until(async () => ({ shown: (await metrics()).includes(rows) }), { shown: true });
    expect(await metrics()).toContain('millrace_model_quality_degraded{model="fraud",outcome="frauds",metric="auc"} 1');
  }
  expect(await outcomes(await restart())).toMatchObject(expected);
}

describe("outcomes that arrive as events", () => {
  it("are joined on the embedded stores, by three processes, and after a restart the same", async () => {
    const env = { MILLRACE_DATA: join(folder, "data") };
    const group = await start(["serve", "--processes", "2"], env);
    const again: Server[] = [];
    const one = { predict: [group.url], tell: group.url, ask: [group.url] };
    await followed(one, async () => {
      await group.stop("SIGTERM");
      again.push(await start(["serve"], env));
      return again[0]!.url;
    });
    const { status, stdout } = spawnSync(process.execPath, [MAIN, "quality", "risk"], {
      cwd: folder,
      env: { ...process.env, ...env },
      encoding: "utf8",
    });
    expect(stdout).toContain("frauds");
    expect(status).toBe(2);
    await again[0]!.stop("SIGTERM");
  });

  it("are joined on Redis and PostgreSQL, by two servers and a process that ingests, one of them killed", async () => {
    const env = {
      MILLRACE_REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      MILLRACE_POSTGRES_URL: await postgres.createDatabase(),
    };
    const ingest = await start(["ingest"], env);
    const serving = [await start(["serve"], env), await start(["serve"], env)];
    const urls = serving.map(({ url }) => url);
    await followed({ predict: urls, tell: ingest.url, ask: [...urls, ingest.url] }, async () => {
      await serving[0]!.stop("SIGKILL");
      serving[0] = await start(["serve"], env);
      return serving[0].url;
    });
    for (const server of [...serving, ingest]) await server.stop("SIGTERM");
  });
});
