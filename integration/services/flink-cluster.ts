import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import { freePorts } from "./free-ports.ts";
import { spawnService } from "./spawn-service.ts";

/** A Flink of two processes, one that manages jobs and one that runs their tasks, as a standalone cluster has them. */
export interface FlinkCluster {
  /** `host:port` of its REST endpoint, which `--flinkMaster` takes. */
  readonly master: string;
  close(): Promise<void>;
}

const DEADLINE_MS = 90_000;
const OPENS = ["java.util", "java.lang", "java.net", "java.io", "java.nio", "java.time", "java.util.concurrent"];
const MAINS = [
  "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
  "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
] as const;

/** Starts a cluster whose own libraries, as Flink's `lib/` has them, are those of a class path. */
export async function startFlink(java: string, classPath: string): Promise<FlinkCluster> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-flink-"));
  const [rpc, rest, blob] = await freePorts(3);
  const settings = {
    "jobmanager.rpc.address": "127.0.0.1",
    "jobmanager.rpc.port": rpc,
    "jobmanager.bind-host": "127.0.0.1",
    "blob.server.port": blob,
    "rest.address": "127.0.0.1",
    "rest.bind-address": "127.0.0.1",
    "rest.port": rest,
    "rest.bind-port": rest,
    "taskmanager.host": "127.0.0.1",
    "taskmanager.bind-host": "127.0.0.1",
    "taskmanager.numberOfTaskSlots": 1,
    "taskmanager.cpu.cores": 1,
    // Flink's own scripts work these out; it wants all of them.
    "taskmanager.memory.framework.heap.size": "128m",
    "taskmanager.memory.framework.off-heap.size": "64m",
    "taskmanager.memory.task.heap.size": "512m",
    "taskmanager.memory.task.off-heap.size": "64m",
    "taskmanager.memory.jvm-metaspace.size": "192m",
    "taskmanager.memory.jvm-overhead.min": "64m",
    "taskmanager.memory.jvm-overhead.max": "64m",
    "taskmanager.memory.managed.size": "64m",
    "taskmanager.memory.network.min": "32m",
    "taskmanager.memory.network.max": "32m",
    "classloader.parent-first-patterns.additional": "com.caoccao.;io.millrace.",
    "io.tmp.dirs": folder,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name}: ${value}\n`);
  await writeFile(join(folder, "flink-conf.yaml"), lines.join(""));
  let words = "";
  const children = MAINS.map((main): ChildProcess => {
    const child = spawnService(
      java,
      [
        ...["-Xmx768m", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=256m"],
        ...OPENS.flatMap((name) => ["--add-opens", `java.base/${name}=ALL-UNNAMED`]),
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        ...["-cp", classPath, main, "--configDir", folder],
      ],
      { stdio: ["ignore", "ignore", "pipe"] },
    );
    child.stderr?.on("data", (bytes: Buffer) => {
      words = (words + bytes.toString("utf8")).slice(-2_000);
    });
    return child;
  });
  const close = async (): Promise<void> => {
    for (const child of children) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill("SIGKILL");
      await once(child, "exit");
    }
    await rm(folder, { recursive: true, force: true });
  };
  for (const until = Date.now() + DEADLINE_MS; (await freeSlots(rest!)) === 0; await pause(250)) {
    const ended = children.some((child) => child.exitCode !== null);
    if (!ended && Date.now() < until) continue;
    await close();
    throw new MillraceError("FLINK_NOT_READY", `Flink did not start: ${words}`, { kind: "operational" });
  }
  return { master: `127.0.0.1:${rest}`, close };
}

async function freeSlots(port: number): Promise<number> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/overview`, { signal: AbortSignal.timeout(5_000) });
    return Number(((await response.json()) as { "slots-available"?: number })["slots-available"] ?? 0);
  } catch {
    return 0;
  }
}
