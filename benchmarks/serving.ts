import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { apiKeys } from "../src/api/auth/api-keys.ts";
import { type Body, failuresText, httpLoad, type LoadResult } from "./http-load.ts";
import { processUsage } from "./process-usage.ts";
import {
  type Contestant,
  pinLoad,
  type ServingModel,
  startBentoml,
  startFastapi,
  startMillrace,
  startMlflow,
  startMlserver,
  trainServingModel,
} from "./serving-contestants.ts";

const SECONDS = 3;
const WARM_UP = 1;
const BATCH = 1_000;

interface Route {
  readonly path: string;
  readonly label: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: (rows: readonly (readonly number[])[]) => Body;
  /** The probabilities of an answer. */
  readonly read: (answer: Response) => Promise<readonly number[]>;
}
interface Figures {
  readonly perSecond: number;
  readonly p99: number;
  /** Of a request, milliseconds. */
  readonly cpu: number;
}

const NAMES = Array.from({ length: 30 }, (_, i) => `f${i}`);
const json = (value: unknown): string => JSON.stringify(value);
// biome-ignore lint/suspicious/noExplicitAny: the answers of five servers
const jsonOf = async (answer: Response): Promise<any> => answer.json();
const OWN: Route = {
  path: "/v1/models/whole/predict",
  label: "JSON",
  body: (rows) => json({ rows: rows.map((row) => Object.fromEntries(row.map((value, i) => [NAMES[i], value]))) }),
  read: async (answer) => (await jsonOf(answer)).predictions.map((row: { probability: number }) => row.probability),
};
const V2_JSON: Route = {
  path: "/v2/models/whole/infer",
  label: "Open Inference JSON",
  body: (rows) => json({ inputs: [{ name: "input", shape: [rows.length, 30], datatype: "FP32", data: rows.flat() }] }),
  read: async (answer) => (await jsonOf(answer)).outputs[0].data,
};
const V2_BINARY: Route = {
  path: "/v2/models/whole/infer",
  label: "binary tensors",
  body: (rows) => {
    const data = Buffer.from(Float32Array.from(rows.flat()).buffer);
    const head = Buffer.from(
      json({
        inputs: [
          { name: "input", shape: [rows.length, 30], datatype: "FP32", parameters: { binary_data_size: data.length } },
        ],
        parameters: { binary_data_output: true },
      }),
    );
    const headers = { "content-type": "application/octet-stream", "inference-header-content-length": `${head.length}` };
    return { headers, bytes: Buffer.concat([head, data]) };
  },
  read: async (answer) => {
    const bytes = Buffer.from(await answer.arrayBuffer());
    const from = Number(answer.headers.get("inference-header-content-length"));
    const { datatype } = JSON.parse(bytes.toString("utf8", 0, from)).outputs[0] as { datatype: string };
    const data = bytes.buffer.slice(bytes.byteOffset + from, bytes.byteOffset + bytes.length);
    return [...(datatype === "FP64" ? new Float64Array(data) : new Float32Array(data))];
  },
};
/** As in production: each request shows a key. */
const withKey = (text: string): Route => ({
  ...OWN,
  label: "JSON with API keys",
  body: (rows) => ({
    headers: { "content-type": "application/json", authorization: `Bearer ${text}` },
    bytes: Buffer.from(OWN.body(rows) as string),
  }),
});
const FASTAPI: Route = {
  path: "/predict",
  label: "JSON",
  body: (rows) => json({ rows }),
  read: async (answer) => (await jsonOf(answer)).predictions,
};
/** The body that Millrace gets, checked by the models of FastAPI's manual. */
const FASTAPI_MODELS: Route = { ...OWN, path: "/predict_models", label: "JSON by Pydantic", read: FASTAPI.read };
const MLSERVER: Route = { ...V2_JSON, path: "/v2/models/serving/infer", label: "JSON" };
const MLFLOW: Route = {
  path: "/invocations",
  label: "JSON",
  body: (rows) => json({ dataframe_split: { columns: NAMES, data: rows } }),
  read: async (answer) => (await jsonOf(answer)).predictions,
};
const BENTOML: Route = { ...FASTAPI, read: jsonOf };

/**
 * One model of 100 trees of depth 6 over 30 features, rows in the request. A server of one process has the first core,
 * the load the second; with two they share both. `npm run bench -- serving [millrace] [fastapi] …`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-serving-"));
  const wanted = (name: string): boolean => args.length === 0 || args.includes(name);
  try {
    print(
      `${cpus()[0]?.model ?? "unknown"}, ${cpus().length} cores; one process is pinned to the first, the load to the second.`,
    );
    const model = await trainServingModel(folder);
    const all = new Map<string, Figures>();
    const take = async (
      id: string,
      name: string,
      processes: number,
      start: () => Promise<Contestant>,
      routes: readonly Route[],
    ) => {
      if (!wanted(name)) return;
      pinLoad(processes);
      try {
        const server = await start();
        try {
          for (const [key, figures] of await measure(server, routes, model)) all.set(`${id} ${key}`, figures);
        } finally {
          await server.stop();
        }
      } catch (error) {
        print(`${id}: not measured. ${error instanceof Error ? error.message : String(error)}`);
      }
    };
    for (const n of [1, 2]) {
      await take(`fastapi${n}`, "fastapi", n, () => startFastapi(model, n), [FASTAPI_MODELS, FASTAPI]);
      await take(`millrace${n}`, "millrace", n, () => startMillrace(model, n), [OWN, V2_JSON, V2_BINARY]);
      if (n === 2) continue;
      const keysFile = join(folder, "keys.json");
      const { text } = await apiKeys(keysFile).create({ name: "bench", scopes: ["predict"], expiresAt: null });
      const keyed = (): Promise<Contestant> =>
        startMillrace(model, n, { MILLRACE_KEYS_FILE: keysFile, MILLRACE_REQUIRE_KEYS: "true" });
      await take("keyed1", "millrace", n, keyed, [withKey(text)]);
    }
    await take("mlserver", "mlserver", 1, () => startMlserver(model), [MLSERVER]);
    await take("mlflow", "mlflow", 1, () => startMlflow(model), [MLFLOW]);
    await take("bentoml", "bentoml", 1, () => startBentoml(model), [BENTOML]);
    pinLoad(2);
    conclude(all);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function measure(
  server: Contestant,
  routes: readonly Route[],
  model: ServingModel,
): Promise<Map<string, Figures>> {
  const figures = new Map<string, Figures>();
  print(`${server.name}: ready after ${server.startSeconds.toFixed(1)} s`);
  for (const route of routes) {
    await check(server, route, model);
    const target = server.url + route.path;
    const single = model.rows.slice(0, 500).map((row) => route.body([row]));
    const batches = [0, 1, 2].map((i) =>
      route.body([...model.rows.slice(i), ...model.rows.slice(0, i)].slice(0, BATCH)),
    );
    await httpLoad(target, single, 16, WARM_UP);
    await httpLoad(target, batches, 4, WARM_UP);
    const loads =
      route === V2_JSON || route === V2_BINARY
        ? []
        : (route.label === "JSON with API keys" ? [16] : [1, 16, 64]).map((connections) => ({
            connections,
            rows: 1,
            bodies: single,
          }));
    for (const { connections, rows, bodies } of [...loads, { connections: 4, rows: BATCH, bodies: batches }]) {
      const before = processUsage([server.pid]).cpuSeconds;
      const load = await httpLoad(target, bodies, connections, SECONDS);
      const cpu = (1_000 * (processUsage([server.pid]).cpuSeconds - before)) / load.requests;
      const perSecond = load.requests / load.seconds;
      figures.set(`${route.label} ${rows} ${connections}`, { perSecond, p99: load.p99, cpu });
      print(
        `  ${route.label}, ${rows} row${rows > 1 ? "s" : ""}, ${connections} connections: ${text(load, rows)}, ${cpu.toFixed(3)} ms of CPU a request`,
      );
    }
  }
  print(`  resident ${processUsage([server.pid]).residentMiB} MiB`);
  return figures;
}

function text(load: LoadResult, rows: number): string {
  const { requests, seconds, p50, p95, p99 } = load;
  const rate = requests / seconds;
  const inRows = rows === 1 ? "" : ` = ${Math.round(rate * rows).toLocaleString("en")} rows/s`;
  return `${rate < 1_000 ? rate.toFixed(1) : Math.round(rate).toLocaleString("en")} requests/s${inRows}, P50 ${p50.toFixed(2)} P95 ${p95.toFixed(2)} P99 ${p99.toFixed(2)} ms, ${failuresText(load)}`;
}

/** The same model: the answers are XGBoost's, but for float32. */
async function check(server: Contestant, route: Route, { rows, expected }: ServingModel): Promise<void> {
  const body = route.body(rows.slice(0, expected.length));
  const isText = typeof body === "string";
  const answer = await fetch(server.url + route.path, {
    method: "POST",
    headers: isText ? { "content-type": "application/json" } : body.headers,
    body: isText ? body : new Uint8Array(body.bytes),
  });
  if (!answer.ok)
    throw new AggregateError([], `${route.path} answered ${answer.status}: ${(await answer.text()).slice(0, 300)}`);
  const found = await route.read(answer);
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - Number(found[i] ?? Number.NaN))));
  if (!(worst < 1e-5)) throw new AggregateError([], `${server.name} answers another model: ${worst} apart`);
}

function conclude(all: ReadonlyMap<string, Figures>): void {
  const rate = (key: string): number => all.get(key)?.perSecond ?? Number.NaN;
  for (const n of [1, 2]) {
    const own = all.get(`millrace${n} JSON 1 16`);
    for (const label of ["JSON by Pydantic", "JSON"]) {
      const peer = all.get(`fastapi${n} ${label} 1 16`);
      if (own === undefined || peer === undefined) continue;
      const what = label === "JSON" ? "FastAPI at its best (lists by orjson, no checks)" : "FastAPI (the same body)";
      print(
        `=> 16 connections, ${n} process${n > 1 ? "es" : ""}: ${(own.perSecond / peer.perSecond).toFixed(1)} times ${what} with as many workers, P99 ${own.p99.toFixed(2)} ms against ${peer.p99.toFixed(2)}, CPU a request ${(peer.cpu / own.cpu).toFixed(1)} times less${n === 1 ? " (aim: 7 times, P99 under a third)" : ""}`,
      );
    }
  }
  const own = all.get("millrace1 JSON 1 16");
  const keyed = all.get("keyed1 JSON with API keys 1 16");
  if (own !== undefined && keyed !== undefined) {
    print(
      `=> API keys, 16 connections, one process: ${Math.round(keyed.perSecond).toLocaleString("en")} requests/s, ${keyed.cpu.toFixed(4)} ms of CPU a request against ${own.cpu.toFixed(4)} without`,
    );
  }
  const p99 = (key: string): string => (all.get(key)?.p99 ?? Number.NaN).toFixed(1);
  const rows = (key: string): string => Math.round(rate(key) * BATCH).toLocaleString("en");
  print(
    `=> batches of 1,000 rows, one process: JSON ${rows("millrace1 JSON 1000 4")}, Open Inference JSON ${rows("millrace1 Open Inference JSON 1000 4")}, MLServer in JSON ${rows("mlserver JSON 1000 4")} rows/s, P99 ${p99("millrace1 JSON 1000 4")}, ${p99("millrace1 Open Inference JSON 1000 4")} and ${p99("mlserver JSON 1000 4")} ms (aim: ahead in both); binary tensors ${rows("millrace1 binary tensors 1000 4")} rows/s (aim: over 250,000)`,
  );
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
