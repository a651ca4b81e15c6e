import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { FEAST } from "../integration/services/feast-version.ts";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import { startRedis } from "../integration/services/redis-server.ts";
import { httpLoad, type LoadResult } from "./http-load.ts";

const ENTITIES = 10_000;
const FEATURES = 20;
const CONNECTIONS = [1, 16, 64];
/** Seconds of a measurement, how many of each, and of warming up before the first. */
const SECONDS = 3;
const RUNS = 3;
const WARM_UP = 3;

interface Measured {
  readonly perSecond: number;
  readonly p99: number;
}
interface Contestant {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** Feast's routes, and of Millrace also its own. */
  readonly routes: readonly ("feast" | "own")[];
}

const here = (file: string): string => fileURLToPath(new URL(`feast_online/${file}`, import.meta.url));

/**
 * One and a hundred entities × 20 features over HTTP: `feast serve` on Redis, with one worker and with one per core, and
 * Millrace, one process, on LMDB and on Redis. Load comes from this process. Arguments: names of contestants to run.
 */
export async function run(args: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-feast-online-"));
  const children: ChildProcess[] = [];
  const server = await startRedis();
  const wanted = (name: string): boolean => args.length === 0 || args.some((arg) => name.startsWith(arg));
  try {
    const rows = data();
    await writeFile(join(folder, "data.json"), JSON.stringify(rows));
    const redis = `127.0.0.1:${server.port}`;
    const feastFigures = new Map<string, Measured>();
    if (wanted("feast")) {
      const bin = pythonEnvironment([FEAST]);
      execFileSync(join(bin, "python"), [here("repository.py"), folder, redis], {
        stdio: ["ignore", "ignore", "inherit"],
      });
      for (const workers of [1, 2]) {
        const contestant = await startFeast(bin, folder, workers, children);
        for (const [key, figure] of await measure(contestant)) {
          const best = feastFigures.get(key);
          if (best === undefined || best.perSecond < figure.perSecond) feastFigures.set(key, figure);
        }
        await stop(children.pop()!);
      }
    }
    for (const store of ["lmdb", "redis"]) {
      if (!wanted(`millrace-${store}`)) continue;
      const contestant = await startMillrace(folder, store, store === "lmdb" ? "lmdb" : String(server.port), children);
      await fill(contestant.url, rows);
      const figures = await measure(contestant);
      await stop(children.pop()!);
      for (const [key, aim] of [
        ["feast 1 16", 20],
        ["feast 100 16", 40],
      ] as const) {
        const peer = feastFigures.get(key);
        const own = figures.get(key)!;
        const times = peer === undefined ? "" : `${(own.perSecond / peer.perSecond).toFixed(1)} times Feast's best `;
        print(`   ${contestant.name}, ${key.split(" ")[1]} entities, 16 connections: ${times}(aim: ${aim} times)`);
      }
      print(`   P99 of one entity at 16 connections: ${figures.get("feast 1 16")!.p99.toFixed(2)} ms (aim: under 10)`);
    }
  } finally {
    await Promise.all(children.reverse().map(stop));
    await server.remove();
    await rm(folder, { recursive: true, force: true });
  }
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

async function startFeast(bin: string, folder: string, workers: number, children: ChildProcess[]): Promise<Contestant> {
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
  return { name: `feast, ${workers} worker${workers > 1 ? "s" : ""}`, url, pid: child.pid!, routes: ["feast"] };
}

async function startMillrace(
  folder: string,
  store: string,
  address: string,
  children: ChildProcess[],
): Promise<Contestant> {
  const child = spawn(process.execPath, [here("server.ts"), join(folder, store), address], {
    stdio: ["ignore", "pipe", "inherit"],
    detached: true,
  });
  children.push(child);
  const [url] = (await once(createInterface(child.stdout!), "line")) as [string];
  return { name: `millrace on ${store}`, url, pid: child.pid!, routes: ["feast", "own"] };
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

async function measure({ name, url, pid, routes }: Contestant): Promise<Map<string, Measured>> {
  const figures = new Map<string, Measured>();
  for (const route of routes) {
    for (const entities of [1, 100]) {
      const bodies = requests(route, entities);
      const target = url + (route === "feast" ? "/get-online-features" : "/v1/features/online");
      await httpLoad(target, bodies, 16, WARM_UP);
      for (const connections of CONNECTIONS) {
        const runs: LoadResult[] = [];
        const before = family(pid).cpuSeconds;
        for (let i = 0; i < RUNS; i++) runs.push(await httpLoad(target, bodies, connections, SECONDS));
        const cpu = (family(pid).cpuSeconds - before) / runs.reduce((sum, one) => sum + one.requests, 0);
        runs.sort((a, b) => a.requests / a.seconds - b.requests / b.seconds);
        const rate = (i: number): number => Math.round(runs.at(i)!.requests / runs.at(i)!.seconds);
        const { p50, p95, p99, bytes } = runs[RUNS >> 1]!;
        const failures = runs.reduce((sum, one) => sum + one.failures, 0);
        figures.set(`${route} ${entities} ${connections}`, { perSecond: rate(RUNS >> 1), p99 });
        print(
          `${name}, ${route} route, ${entities} × ${FEATURES}, ${connections} connections: ` +
            `${rate(RUNS >> 1).toLocaleString("en")} (${rate(0).toLocaleString("en")} to ${rate(-1).toLocaleString("en")}) requests/s, ` +
            `P50 ${p50.toFixed(2)} P95 ${p95.toFixed(2)} P99 ${p99.toFixed(2)} ms, ` +
            `${(cpu * 1_000).toFixed(3)} ms of CPU a request, ${(bytes / 1_000).toFixed(1)} KB, ${failures} failures`,
        );
      }
    }
  }
  print(`${name}: resident ${family(pid).residentMiB} MiB, all its processes`);
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

/** A process with all that descend from it: resident memory, and CPU time since they started. */
function family(root: number): { readonly residentMiB: number; readonly cpuSeconds: number } {
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // proc_pid_stat(5), after the name: parent is field 4, user and system time 14 and 15 in ticks of 10 ms.
        const fields = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)!.split(" ").map(Number);
        const pages = Number(readFileSync(`/proc/${name}/statm`, "utf8").split(" ")[1]);
        return [{ pid: Number(name), parent: fields[1]!, ticks: fields[11]! + fields[12]!, pages }];
      } catch {
        return [];
      }
    });
  const members = new Set([root]);
  for (let size = 0; size < members.size; ) {
    size = members.size;
    for (const { pid, parent } of processes) if (members.has(parent)) members.add(pid);
  }
  const own = processes.filter(({ pid }) => members.has(pid));
  return {
    residentMiB: Math.round(own.reduce((sum, { pages }) => sum + pages, 0) / 256),
    cpuSeconds: own.reduce((sum, { ticks }) => sum + ticks, 0) / 100,
  };
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
