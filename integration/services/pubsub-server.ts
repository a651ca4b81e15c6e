import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../../src/definitions/errors.ts";
import { debianProgram } from "./debian-program.ts";

export interface PubsubServer {
  /** `host:port`, as `PUBSUB_EMULATOR_HOST` wants it. */
  readonly address: string;
  close(): Promise<void>;
}

/** Google's own stand-in for Pub/Sub, of its Go client's tests. */
export async function pubsubServer(): Promise<PubsubServer> {
  const child = spawn(build(), [], { stdio: ["ignore", "pipe", "inherit"] });
  let address = "";
  for await (const line of createInterface(child.stdout!)) {
    address = line.trim();
    break;
  }
  if (address === "") throw new MillraceError("TOOL_MISSING", "pstest did not start.", { kind: "operational" });
  return {
    address,
    async close() {
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function build(): string {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "millrace", "pstest-2.9.0");
  const program = join(folder, "pstest");
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const go = debianProgram("go", { package: "golang-go", paths: ["/usr/local/go/bin/go"], probe: ["version"] });
  const built = spawnSync(go, ["build", "-o", program, "."], {
    cwd: fileURLToPath(new URL("./pstest", import.meta.url)),
    encoding: "utf8",
  });
  if (built.status === 0) return program;
  throw new MillraceError(
    "TOOL_MISSING",
    `Google's pstest could not be built (${built.error?.message ?? built.stderr.trim().slice(-500)}): Go 1.25 or newer is needed.`,
    { kind: "operational" },
  );
}
