import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import { answers } from "./answers.ts";
import { freePorts } from "./free-ports.ts";
import { npmPackage } from "./npm-package.ts";
import { pythonEnvironment } from "./python-environment.ts";
import { spawnService } from "./spawn-service.ts";

/** Stand-ins for Kinesis by others: each does what the other lacks. */
export type KinesisServerKind = "kinesalite" | "moto";

export interface KinesisServer {
  readonly endpoint: string;
  close(): Promise<void>;
}

export async function kinesisServer(kind: KinesisServerKind): Promise<KinesisServer> {
  const [port] = await freePorts(1);
  const child = kind === "moto" ? moto(port!) : kinesalite(port!);
  const endpoint = `http://127.0.0.1:${port}`;
  const deadline = Date.now() + 60_000;
  while (!(await answers(endpoint, "anything"))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new MillraceError("TOOL_MISSING", `${kind} did not start (exit code ${child.exitCode}).`, {
        kind: "operational",
      });
    }
    await pause(50);
  }
  return {
    endpoint,
    async close() {
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function moto(port: number): ChildProcess {
  const bin = pythonEnvironment(["moto[server]==5.1.16"]);
  return spawnService(join(bin, "moto_server"), ["-H", "127.0.0.1", "-p", String(port)], { stdio: "ignore" });
}

function kinesalite(port: number): ChildProcess {
  const folder = npmPackage("kinesalite@3.3.3");
  const args = ["--port", String(port), "--createStreamMs", "20", "--deleteStreamMs", "20", "--updateStreamMs", "20"];
  return spawnService(process.execPath, [join(folder, "cli.js"), ...args], { stdio: "ignore" });
}
