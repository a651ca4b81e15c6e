import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Admin, Producer } from "@platformatic/kafka";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { freePorts } from "./services/free-ports.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";
import { spawnService } from "./services/spawn-service.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");
/** Whoever has no rights, where the test may say who runs a process. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

type Instruction = readonly [name: string, rest: string];
/** The Dockerfile's stages. */
const [build = [], image = []] = read("deploy/Dockerfile")
  .replaceAll(/^#.*\n/gm, "")
  .replaceAll(/\\\n/g, " ")
  .replaceAll(/\n +/g, " ")
  .split(/^FROM .*$/m)
  .slice(1)
  .map((stage) =>
    stage
      .trim()
      .split("\n")
      .map((line): Instruction => [line.slice(0, line.indexOf(" ")), line.slice(line.indexOf(" ") + 1).trim()]),
  );
const of = (name: string): readonly string[] => image.filter(([first]) => first === name).map(([, rest]) => rest);

/** Takes the place of `/` for what the image holds. */
let root: string;
let redis: RedisServer;
let postgres: PostgresServer;
let kafka: KafkaCluster;
const children: ChildProcess[] = [];

beforeAll(async () => {
  [root, redis, postgres, kafka] = await Promise.all([
    mkdtemp(join(tmpdir(), "millrace-image-")),
    startRedis({ password: "redis-password", config: ["appendonly yes", "appendfsync always"] }),
    startPostgres(),
    kafkaCluster(),
  ]);
  chmodSync(root, 0o755);
});
afterAll(async () => {
  for (const child of children) {
    const ended = once(child, "exit");
    if (child.exitCode === null && child.kill("SIGKILL")) await ended;
  }
  await Promise.all([kafka?.close(), postgres?.remove(), redis?.remove()]);
  await rm(root, { recursive: true, force: true });
});

it("computes and serves by what the Dockerfile's steps make, as a user without rights", async () => {
  const context = join(root, "context");
  const ignored = read(".dockerignore").split("\n").filter(Boolean);
  const files = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: ROOT,
    encoding: "utf8",
  });
  for (const path of files.split("\0").filter(Boolean)) {
    if (ignored.includes(path.split("/", 1)[0]!) || !existsSync(join(ROOT, path))) continue;
    mkdirSync(dirname(join(context, path)), { recursive: true });
    copyFileSync(join(ROOT, path), join(context, path));
  }
  const stage = join(root, "build");
  for (const [instruction, rest] of build) {
    if (instruction === "COPY") {
      const paths = rest.split(/ +/);
      mkdirSync(stage, { recursive: true });
      for (const path of paths.slice(0, -1)) cpSync(join(context, path), join(stage, path), { recursive: true });
    }
    if (instruction === "RUN") {
      // The scripts of the outer npm's own run are none of the image's.
      const { NODE_ENV: _env, ...env } = Object.fromEntries(
        Object.entries(process.env).filter(([name]) => !/^npm_/i.test(name)),
      );
      execFileSync("sh", ["-ec", rest], {
        cwd: stage,
        stdio: ["ignore", "ignore", "pipe"],
        env: { ...env, PATH: `${dirname(process.execPath)}${delimiter}${env.PATH}` },
      });
    }
  }
  const home = join(root, "opt/millrace");
  for (const copied of of("COPY")) {
    const [, from = "", to = ""] = /^--from=build \/build\/(\S+) \/opt\/millrace\/(\S*)$/.exec(copied) ?? [];
    cpSync(join(stage, from), join(home, to === "" ? from : to), { recursive: true, verbatimSymlinks: true });
  }
  const app = join(root, "app");
  mkdirSync(join(app, "node_modules"), { recursive: true });
  symlinkSync(home, join(app, "node_modules/millrace"));
  writeFileSync(join(app, "features.ts"), read("deploy/millrace/features.ts"));
  const { host, port } = redis;
  writeFileSync(
    join(app, "millrace.config.ts"),
    read("deploy/millrace/millrace.config.ts")
      .replace("redis:6379", `${host}:${port}`)
      .replace("millrace@postgres:5432/millrace", `${postgres.user}@127.0.0.1:${postgres.port}/postgres`)
      .replace("kafka:9092", kafka.brokers[0]!),
  );

  const entry = JSON.parse(of("ENTRYPOINT")[0]!) as string[];
  expect(entry.slice(0, 3)).toEqual(["tini", "--", "node"]);
  const program = entry[3]!.replace("/opt/millrace", home);
  const [ingestPort, servePort] = await freePorts(2);
  const start = (command: string, own: number): string => {
    const data = join(root, `data-${command}`);
    mkdirSync(data);
    chmodSync(data, 0o777);
    const child = spawnService(process.execPath, [program, "--config", join(app, "millrace.config.ts"), command], {
      ...NOBODY,
      cwd: app,
      stdio: ["ignore", "inherit", "inherit"],
      env: {
        PATH: process.env.PATH,
        HOME: "/nonexistent",
        NODE_ENV: "production",
        MILLRACE_HOST: "127.0.0.1",
        MILLRACE_PORT: String(own),
        MILLRACE_DATA: data,
        MILLRACE_LOG_LEVEL: "error",
        MILLRACE_ADMIN_TOKEN: "a-token-of-16-characters",
        MILLRACE_REDIS_PASSWORD: "redis-password",
        MILLRACE_POSTGRES_PASSWORD: postgres.password,
        MILLRACE_REQUIRE_KEYS: "false",
      },
    });
    children.push(child);
    return `http://127.0.0.1:${own}`;
  };
  start("ingest", ingestPort!);
  const url = start("serve", servePort!);

  const health = JSON.parse(/CMD (.*)$/.exec(of("HEALTHCHECK")[0]!)![1]!) as string[];
  const script = health[2]!.replace(":8080", `:${servePort}`);
  await vi.waitFor(() => execFileSync(process.execPath, ["-e", script]), { timeout: 60_000, interval: 200 });

  // As whoever tries it does: the topic comes after the processes that read it.
  const client = { clientId: "image-test", bootstrapBrokers: [kafka.brokers[0]!] };
  const admin = new Admin(client);
  await admin.createTopics({ topics: ["payments"], partitions: 2, replicas: 1 });
  await admin.close();
  const producer = new Producer({ ...client, idempotent: true });
  const at = new Date().toISOString();
  const events = [40, 2.5].map((amount, i) => ({ payment_id: `p${i}`, card_id: "c1", amount, at }));
  await producer.send({
    messages: events.map((event) => ({
      topic: "payments",
      key: Buffer.from("c1"),
      value: Buffer.from(JSON.stringify(event)),
    })),
  });
  await producer.close();
  await vi.waitFor(
    async () => {
      const answer = await fetch(`${url}/v1/features/online`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ service: "fraud", rows: [{ card_id: "c1", amount: 7 }] }),
      });
      expect(await answer.json()).toMatchObject({ rows: [[2, 2, 42.5, 7]] });
    },
    { timeout: 60_000, interval: 200 },
  );
});

it("holds no program of another system", () => {
  for (const other of ["darwin", "win32"]) {
    const binaries = join(root, "opt/millrace/node_modules/onnxruntime-node/bin/napi-v6");
    expect(existsSync(binaries)).toBe(true);
    expect(existsSync(join(binaries, other)), other).toBe(false);
  }
});
