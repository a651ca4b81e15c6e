import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { FEAST } from "../integration/services/feast-version.ts";
import { millraceProcess } from "../integration/services/millrace-process.ts";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { httpLoad, type LoadResult } from "./http-load.ts";
import { processUsage } from "./process-usage.ts";

const ENTITIES = 10_000;
const FEATURES = 20;
/** Connections, and how many times each is measured: the aims are at 16. */
const LOADS = [
  { connections: 1, runs: 1 },
  { connections: 16, runs: 3 },
  { connections: 64, runs: 1 },
] as const;
/** Seconds of a measurement, and of warming up before the first. */
const SECONDS = 1.5;
const WARM_UP = 2;
/** Requests per second as a multiple of Feast's, by entities, at 16 connections; and one entity's P99, milliseconds. */
const AIMS = [
  { entities: 1, times: 20 },
  { entities: 100, times: 40 },
] as const;
const P99_MS = 10;

interface Measured {
  readonly perSecond: number;
  readonly p99: number;
  /** Of all server processes, milliseconds per request. */
  readonly cpu: number;
}
interface Contestant {
  readonly name: string;
  readonly url: string;
  /** The server's, whose descendants count too, and that of Redis if it uses it. */
  readonly pids: readonly number[];
  /** Feast's routes, and of Millrace also its own. */
  readonly routes: readonly ("feast" | "own")[];
}

const here = (file: string): string => fileURLToPath(new URL(`feast_online/${file}`, import.meta.url));

/**
 * One and a hundred entities × 20 features over HTTP: `feast serve` on Redis, with one worker and with one per core, and
 * `millrace serve`, one process, on LMDB and on Redis, whose CPU time is counted too. Load comes from this process.
 * Arguments: names of contestants to run.
 */
export async function run(args: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-feast-online-"));
  const children: ChildProcess[] = [];
  const server = await startRedis();
  const redisPid = Number(/process_id:(\d+)/.exec(server.cli("info", "server"))![1]);
  const wanted = (name: string): boolean => args.length === 0 || args.some((arg) => name.startsWith(arg));
  try {
    const rows = data();
    await writeFile(join(folder, "data.json"), JSON.stringify(rows));
    const feast = new Map<string, Measured>();
    const alone = new Map<string, Measured>();
    if (wanted("feast")) {
      const bin = pythonEnvironment([FEAST]);
      execFileSync(join(bin, "python"), [here("repository.py"), folder, `127.0.0.1:${server.port}`], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      for (const workers of [1, 2]) {
        const { child, ...contestant } = await startFeast(bin, folder, workers, redisPid, children);
        for (const [key, figure] of await measure(contestant)) {
          if (workers === 1) alone.set(key, figure);
          const best = feast.get(key);
          feast.set(key, best === undefined ? figure : better(best, figure));
        }
        await stop(child);
      }
    }
    for (const store of ["lmdb", "redis"]) {
      if (!wanted(`millrace-${store}`)) continue;
      const isRedis = store === "redis";
      const environment = isRedis ? { MILLRACE_REDIS_URL: `redis://127.0.0.1:${server.port}/1` } : {};
      await using millrace = await millraceProcess(here("millrace.config.ts"), environment);
      await fill(millrace.url, rows);
      const pids = [millrace.pid, ...(isRedis ? [redisPid] : [])];
      const name = `millrace on ${store}`;
      const figures = await measure({ name, url: millrace.url, pids, routes: ["feast", "own"] });
      compare(name, figures, alone, feast);
    }
  } finally {
    await Promise.all(children.reverse().map(stop));
    await server.remove();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The best of each figure, whichever configuration it is from. */
function better(one: Measured, other: Measured): Measured {
  return {
    perSecond: Math.max(one.perSecond, other.perSecond),
    p99: Math.min(one.p99, other.p99),
    cpu: Math.min(one.cpu, other.cpu),
  };
}

/** `alone` is `feast serve` as it starts by itself: one process, as Millrace is; `feast` the best of all. */
function compare(
  name: string,
  figures: ReadonlyMap<string, Measured>,
  alone: ReadonlyMap<string, Measured>,
  feast: ReadonlyMap<string, Measured>,
): void {
  for (const { entities, times } of AIMS) {
    const peer = feast.get(`feast ${entities} 16`);
    for (const route of ["feast", "own"]) {
      const own = figures.get(`${route} ${entities} 16`)!;
      const ratios =
        peer === undefined
          ? "Feast was not run"
          : `${(own.perSecond / alone.get(`feast ${entities} 16`)!.perSecond).toFixed(1)} times the requests/s of one process of Feast, ${(own.perSecond / peer.perSecond).toFixed(1)} times of its best, ${(peer.cpu / own.cpu).toFixed(1)} times less CPU`;
      print(`=> ${name}, ${route} route, ${entities} × ${FEATURES}, 16 connections: ${ratios} (aim: ${times} times)`);
    }
  }
  const { p99 } = figures.get("feast 1 16")!;
  print(`=> ${name}, feast route, 1 × ${FEATURES}, 16 connections: P99 ${p99.toFixed(2)} ms (aim: under ${P99_MS})`);
}

/** Columns by name; doubles as they come, with all their digits. */
function data(): Record<string, unknown[]> {
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return seed / 2 ** 32;
  };
  const at = Date.now() - 3_600_000;
  const columns: Record<string, unknown[]> = {
    user_id: Array.from({ length: ENTITIES }, (_, i) => i),
    event_timestamp: Array.from({ length: ENTITIES }, (_, i) => new Date(at + i).toISOString()),
  };
  for (let f = 0; f < FEATURES; f++) columns[`f${f}`] = Array.from({ length: ENTITIES }, () => random() * 1_000);
  return columns;
}

async function startFeast(
  bin: string,
  folder: string,
  workers: number,
  redisPid: number,
  children: ChildProcess[],
): Promise<Contestant & { readonly child: ChildProcess }> {
  const port = await freePort();
  const args = ["-c", folder, "serve", "--host", "127.0.0.1", "--port", String(port), "--workers", String(workers)];
  // By default a worker ends after a thousand requests, and connections are closed after half a minute.
  const more = ["--no-access-log", "--registry_ttl_sec", "3600", "--max-requests", "0", "--keep-alive-timeout", "300"];
  const child = spawn(join(bin, "feast"), [...args, ...more], { stdio: "ignore", detached: true });
  children.push(child);
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + 60_000; ; ) {
    if ((await fetch(`${url}/health`).catch(() => null))?.ok) break;
    if (Date.now() > deadline || child.exitCode !== null) throw new AggregateError([], "feast serve did not start");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const name = `feast, ${workers} worker${workers > 1 ? "s" : ""}`;
  return { name, url, pids: [child.pid!, redisPid], routes: ["feast"], child };
}

async function fill(url: string, columns: Readonly<Record<string, readonly unknown[]>>): Promise<void> {
  for (let from = 0; from < ENTITIES; from += 1_000) {
    const part = Object.entries(columns).map(([name, values]) => [name, values.slice(from, from + 1_000)]);
    const body = JSON.stringify({ push_source_name: "user_facts", df: Object.fromEntries(part) });
    const answer = await fetch(`${url}/push`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    if (!answer.ok) throw new AggregateError([], await answer.text());
  }
}

async function measure({ name, url, pids, routes }: Contestant): Promise<Map<string, Measured>> {
  const figures = new Map<string, Measured>();
  for (const route of routes) {
    for (const { entities } of AIMS) {
      const bodies = requests(route, entities);
      const target = url + (route === "feast" ? "/get-online-features" : "/v1/features/online");
      await httpLoad(target, bodies, 16, WARM_UP);
      for (const { connections, runs: count } of LOADS) {
        const runs: LoadResult[] = [];
        const before = processUsage(pids).cpuSeconds;
        for (let i = 0; i < count; i++) runs.push(await httpLoad(target, bodies, connections, SECONDS));
        const seconds = processUsage(pids).cpuSeconds - before;
        const cpu = (1_000 * seconds) / runs.reduce((sum, one) => sum + one.requests, 0);
        runs.sort((a, b) => a.requests / a.seconds - b.requests / b.seconds);
        const rate = (i: number): number => Math.round(runs.at(i)!.requests / runs.at(i)!.seconds);
        const { p50, p95, p99, bytes } = runs[count >> 1]!;
        const failures = runs.reduce((sum, one) => sum + one.failures, 0);
        figures.set(`${route} ${entities} ${connections}`, { perSecond: rate(count >> 1), p99, cpu });
        const range = count === 1 ? "" : ` (${rate(0).toLocaleString("en")} to ${rate(-1).toLocaleString("en")})`;
        print(
          `${name}, ${route} route, ${entities} × ${FEATURES}, ${connections} connections: ` +
            `${rate(count >> 1).toLocaleString("en")}${range} requests/s, ` +
            `P50 ${p50.toFixed(2)} P95 ${p95.toFixed(2)} P99 ${p99.toFixed(2)} ms, ` +
            `${cpu.toFixed(3)} ms of CPU a request, ${(bytes / 1_000).toFixed(1)} KB, ${failures} failures`,
        );
      }
    }
  }
  print(
    `${name}: resident ${processUsage(pids).residentMiB} MiB, all its processes${pids.length > 1 ? " and Redis" : ""}`,
  );
  return figures;
}

function requests(route: "feast" | "own", entities: number): string[] {
  const features = Array.from({ length: FEATURES }, (_, f) => `users:f${f}`);
  return Array.from({ length: 500 }, (_, i) => {
    const ids = Array.from({ length: entities }, (_none, j) => (i * 7_919 + j * 97) % ENTITIES);
    if (route === "own") return JSON.stringify({ service: "users_v1", rows: ids.map((user_id) => ({ user_id })) });
    return JSON.stringify({ features, entities: { user_id: ids } });
  });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, "close");
  return port;
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGTERM");
  await ended;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
