import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../../src/definitions/errors.ts";
import { spawnService } from "./spawn-service.ts";

/** A Millrace of its own, started by the command line with a configuration and an empty data folder. */
export interface MillraceProcess extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Holds the data; removed at the end. */
  readonly folder: string;
  /** What it wrote to stderr. */
  said(): string;
}

/** Starts `millrace serve`, or `ingest`, on a free port; resolves when it is ready. `config` is an absolute path. */
export async function millraceProcess(
  config: string,
  environment: Readonly<Record<string, string>> = {},
  command: "serve" | "ingest" = "serve",
): Promise<MillraceProcess> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-process-"));
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const child = spawnService(process.execPath, [main, "--config", config, command], {
    env: { ...process.env, MILLRACE_PORT: "0", MILLRACE_DATA: folder, MILLRACE_LOG_LEVEL: "error", ...environment },
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  let url = "";
  let said = "";
  for await (const line of createInterface(child.stderr!)) {
    said += `${line}\n`;
    url = /^Millrace serves at (\S+)/.exec(line)?.[1] ?? url;
    if (line === "Ready.") break;
  }
  child.stderr!.on("data", (data: Buffer) => {
    said += data;
    process.stderr.write(data);
  });
  if (url === "" || child.exitCode !== null) {
    throw new MillraceError("TOOL_FAILED", `millrace ${command} did not start: ${said.trim()}`, {
      kind: "operational",
    });
  }
  return {
    url,
    pid: child.pid!,
    folder,
    said: () => said,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
