import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { SERVING_PEERS } from "../integration/services/serving-peers.ts";
import { failuresText, httpLoad } from "./http-load.ts";
import { processUsage } from "./process-usage.ts";
import {
  type Contestant,
  pinLoad,
  type ServingModel,
  startFastapi,
  startMillrace,
  trainServingModel,
} from "./serving-contestants.ts";

const SECONDS = 6;
const ENTITIES = 1_000;
const VIEWS = ["user", "merchant", "device"] as const;
const FILL = `
import sys, json, numpy, redis
port, rows = int(sys.argv[1]), numpy.loadtxt(sys.argv[2], delimiter=",", dtype="float32")
pipe = redis.Redis(port=port).pipeline()
for i, row in enumerate(rows):
    for v, name in enumerate(("user", "merchant", "device")):
        pipe.set(f"{name}:{i}", row[10 * v:10 * v + 10].tobytes())
pipe.execute()
`;

/**
 * The model of `serving`, its 30 features in three views in Redis. FastAPI reads packed float32 values by one MGET.
 * One process has the first core, the load the second; Redis runs where there is room.
 */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-lookup-"));
  const redis = await startRedis();
  try {
    const model = await trainServingModel(folder);
    await writeFile(join(folder, "fill.py"), FILL);
    const python = join(pythonEnvironment(SERVING_PEERS.fastapi), "python");
    execFileSync(python, [join(folder, "fill.py"), String(redis.port), join(folder, "rows.csv")]);
    const bodies = Array.from({ length: 2_000 }, (_, i) => JSON.stringify({ rows: [lookup(i)] }));
    const rates = new Map<string, number>();
    for (const processes of [1, 2]) {
      pinLoad(processes);
      const fastapi = await startFastapi(model, processes, { SERVING_REDIS: String(redis.port) });
      await measure(fastapi, "/looked_up", bodies, rates, `fastapi${processes}`, model);
      const url = `redis://127.0.0.1:${redis.port}/1`;
      const millrace = await startMillrace(model, processes, { MILLRACE_REDIS_URL: url });
      await fill(millrace.url, model);
      await measure(millrace, "/v1/models/looked_up/predict", bodies, rates, `millrace${processes}`, model);
    }
    pinLoad(2);
    for (const n of [1, 2]) {
      const times = rates.get(`millrace${n} 16`)! / rates.get(`fastapi${n} 16`)!;
      process.stdout.write(
        `=> 16 connections, ${n} process${n > 1 ? "es" : ""}: ${times.toFixed(1)} times FastAPI (aim: 5)\n`,
      );
    }
  } finally {
    await redis.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

const lookup = (i: number): object => ({
  user_id: (i * 7) % ENTITIES,
  merchant_id: (i * 13) % ENTITIES,
  device_id: (i * 29) % ENTITIES,
});

async function fill(url: string, { rows }: ServingModel): Promise<void> {
  const at = new Date(Date.now() - 3_600_000).toISOString();
  for (const [v, view] of VIEWS.entries()) {
    const columns: Record<string, unknown[]> = { [`${view}_id`]: rows.map((_, i) => i), at: rows.map(() => at) };
    for (let f = 10 * v; f < 10 * v + 10; f++) columns[`f${f}`] = rows.map((row) => row[f]);
    const answer = await fetch(`${url}/push`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ push_source_name: `${view}_facts`, df: columns }),
    });
    if (!answer.ok) throw new AggregateError([], await answer.text());
  }
}

async function measure(
  server: Contestant,
  path: string,
  bodies: readonly string[],
  rates: Map<string, number>,
  id: string,
  model: ServingModel,
): Promise<void> {
  try {
    // Of equal ids it is a row of the training set.
    const answer = await fetch(server.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ rows: [{ user_id: 3, merchant_id: 3, device_id: 3 }] }),
    });
    const said = await answer.text();
    const [found] = (JSON.parse(said) as { predictions: (number | { probability: number })[] }).predictions;
    const value = typeof found === "object" ? found.probability : found;
    if (!(Math.abs(value! - model.expected[3]!) < 1e-5))
      throw new AggregateError([], `${id} answers otherwise: ${said}`);
    await httpLoad(server.url + path, bodies, 16, 2);
    for (const connections of [1, 16, 64]) {
      const before = processUsage([server.pid]).cpuSeconds;
      const load = await httpLoad(server.url + path, bodies, connections, SECONDS);
      const cpu = (1_000 * (processUsage([server.pid]).cpuSeconds - before)) / load.requests;
      rates.set(`${id} ${connections}`, load.requests / load.seconds);
      process.stdout.write(
        `${server.name}, three views in Redis, ${connections} connections: ${Math.round(load.requests / load.seconds).toLocaleString("en")} requests/s, ` +
          `P50 ${load.p50.toFixed(2)} P95 ${load.p95.toFixed(2)} P99 ${load.p99.toFixed(2)} ms, ${cpu.toFixed(3)} ms of CPU a request, ${failuresText(load)}\n`,
      );
    }
  } finally {
    await server.stop();
  }
}
