import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import { debianProgram } from "./debian-program.ts";
import { freePorts } from "./free-ports.ts";
import { spawnService } from "./spawn-service.ts";

export interface RedisServerOptions {
  /** The default user's password. */
  readonly password?: string;
  /** Serves TLS only, with a certificate that is its own authority. */
  readonly tls?: boolean;
  /** More lines of redis.conf, such as `maxmemory 2mb`. */
  readonly config?: readonly string[];
  /** Follows this server from the start. */
  readonly replicaOf?: RedisServer;
  /** The program of another release than Debian's, as `redisRelease` gives it. */
  readonly program?: string;
  /** Its place in a cluster that {@link startRedisCluster} makes. */
  readonly clusterNode?: boolean;
}

/** A real server of this test run, with its own folder and port. */
export interface RedisServer {
  readonly host: string;
  readonly port: number;
  /** The authority's certificate, PEM; null without TLS. */
  readonly ca: string | null;
  readonly version: string;
  /** Runs a command by redis-cli and returns what it prints. */
  cli(...args: readonly string[]): string;
  /** Ends it as a crash does, or politely with `SIGTERM` (which saves, if it is configured to). */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Stops and continues the process where it is. */
  freeze(): void;
  thaw(): void;
  /** Starts it again on the same port and folder. */
  start(): Promise<void>;
  /** Ends it and removes its folder. */
  remove(): Promise<void>;
}

const READY_SECONDS = 30;

/** Starts Redis on a free port in a temporary folder, and waits until it answers. Nothing is saved unless configured. */
export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const program = options.program ?? debianProgram("redis-server", { paths: ["/usr/bin/redis-server"] });
  const client = debianProgram("redis-cli", { package: "redis-tools", paths: ["/usr/bin/redis-cli"] });
  const folder = await mkdtemp(join(tmpdir(), "millrace-redis-"));
  // The bus of a cluster node is 10,000 above.
  const [port] = await freePorts(1, options.clusterNode === true ? { second: 10_000 } : {});
  const ca = options.tls === true ? await makeCertificate(folder) : null;
  const lines = [
    "bind 127.0.0.1",
    `dir ${folder}`,
    'save ""',
    "daemonize no",
    // Before Redis 7.0 it needs no leave.
    ...(/v=[3-6]\./.test(spawnSync(program, ["--version"], { encoding: "utf8" }).stdout)
      ? []
      : ["enable-debug-command yes"]),
    "repl-diskless-sync-delay 0",
    ...(options.password === undefined
      ? []
      : [`requirepass ${JSON.stringify(options.password)}`, `masterauth ${JSON.stringify(options.password)}`]),
    ...(ca === null
      ? [`port ${port}`]
      : ["port 0", `tls-port ${port}`, "tls-auth-clients no"].concat(
          [`tls-cert-file ${folder}/cert.pem`, `tls-key-file ${folder}/key.pem`],
          [`tls-ca-cert-file ${folder}/cert.pem`, "tls-replication yes"],
        )),
    ...(options.clusterNode === true
      ? ["cluster-enabled yes", "cluster-node-timeout 1000", "cluster-replica-validity-factor 0"]
      : []),
    ...(options.replicaOf === undefined ? [] : [`replicaof ${options.replicaOf.host} ${options.replicaOf.port}`]),
    ...(options.config ?? []),
  ];
  const file = join(folder, "redis.conf");
  await writeFile(file, lines.join("\n"));
  let child: ChildProcess | null = null;

  function cli(...args: readonly string[]): string {
    const tls = ca === null ? [] : ["--tls", "--cacert", join(folder, "cert.pem")];
    const auth = options.password === undefined ? [] : ["--no-auth-warning", "-a", options.password];
    const result = spawnSync(client, ["-h", "127.0.0.1", "-p", String(port), ...tls, ...auth, ...args], {
      encoding: "utf8",
    });
    return (result.stdout + result.stderr).trim();
  }

  async function start(): Promise<void> {
    const log = openSync(join(folder, "redis.log"), "a");
    child = spawnService(program, [file], { stdio: ["ignore", log, log] });
    closeSync(log);
    const until = performance.now() + READY_SECONDS * 1_000;
    while (cli("ping") !== "PONG") {
      if (child.exitCode !== null || performance.now() > until) {
        const words = await readFile(join(folder, "redis.log"), "utf8");
        throw new MillraceError("SERVICE_DOWN", `redis-server did not start: ${words.slice(-500)}`, {
          kind: "operational",
        });
      }
      await pause(20);
    }
  }

  async function kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGCONT");
    child.kill(signal);
    await gone;
  }

  const remove = async (): Promise<void> => {
    await kill();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (error) {
    await remove();
    throw error;
  }
  const version = /redis_version:(\S+)/.exec(cli("info", "server"))?.[1] ?? "";
  return {
    host: "127.0.0.1",
    port: port!,
    ca,
    version,
    cli,
    kill,
    freeze: () => void child?.kill("SIGSTOP"),
    thaw: () => void child?.kill("SIGCONT"),
    start,
    remove,
  };
}

/** A cluster of three primaries, each with a replica if wanted; `nodes` holds the primaries' order at the start. */
export interface RedisCluster {
  readonly nodes: readonly RedisServer[];
  /** The node that is now the primary of a slot, with the id of the cluster. */
  primaryOf(slot: number): RedisServer;
  remove(): Promise<void>;
}

export async function startRedisCluster({ replicas = 0 }: { readonly replicas?: 0 | 1 } = {}): Promise<RedisCluster> {
  const nodes: RedisServer[] = [];
  const remove = async (): Promise<void> => {
    for (const node of nodes) await node.remove();
  };
  try {
    for (let i = 0; i < 3 * (1 + replicas); i++) nodes.push(await startRedis({ clusterNode: true }));
    const addresses = nodes.map((node) => `${node.host}:${node.port}`);
    const made = nodes[0]!.cli(
      ...["--cluster", "create", ...addresses, "--cluster-replicas", String(replicas), "--cluster-yes"],
    );
    const until = performance.now() + READY_SECONDS * 1_000;
    const agreed = (): boolean =>
      nodes.every((node) => {
        const info = node.cli("cluster", "info");
        return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${nodes.length}`);
      }) &&
      nodes.filter((node) => node.cli("info", "replication").includes("master_link_status:up")).length === 3 * replicas;
    while (!agreed()) {
      if (performance.now() > until)
        throw new MillraceError("SERVICE_DOWN", `The Redis cluster did not form: ${made.slice(-500)}`, {
          kind: "operational",
        });
      await pause(50);
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    nodes,
    primaryOf(slot) {
      for (const node of nodes) {
        const line = node
          .cli("cluster", "nodes")
          .split("\n")
          .find((text) => text.includes("myself") && text.includes("master") && !text.includes("fail"));
        const owns = line
          ?.split(" ")
          .slice(8)
          .some((range) => {
            const [from, to] = range.split("-").map(Number);
            return slot >= from! && slot <= (to ?? from!);
          });
        if (owns === true) return node;
      }
      throw new MillraceError("SERVICE_DOWN", `No node of the cluster has slot ${slot}.`, { kind: "operational" });
    },
    remove,
  };
}

/** Certificate and key in the folder; returns the certificate, PEM. */
async function makeCertificate(folder: string): Promise<string> {
  const args = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"];
  const made = spawnSync(
    debianProgram("openssl", { probe: ["version"] }),
    [...args, "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"],
    { cwd: folder, encoding: "utf8" },
  );
  if (made.status !== 0) throw new MillraceError("SERVICE_DOWN", `openssl made no certificate: ${made.stderr}`);
  return readFile(join(folder, "cert.pem"), "utf8");
}
