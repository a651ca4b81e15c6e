import { once } from "node:events";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { MillraceError } from "../../src/definitions/errors.ts";
import { debianProgram } from "./debian-program.ts";
import { download } from "./download.ts";
import { spawnService } from "./spawn-service.ts";

export interface PubsubServerOptions {
  /** The shortest deadline for acknowledgements that a subscription may have. Default: none has to be given. */
  readonly minAckDeadlineSeconds?: number;
  /** Every so manyth acknowledgement, and extension of a deadline, is answered and forgotten. Default: none. */
  readonly loseAcks?: number;
  readonly loseExtensions?: number;
}

/** What became of all messages so far. */
export interface PubsubDeliveries {
  readonly messages: number;
  readonly deliveries: number;
  readonly unacknowledged: number;
  readonly lostAcks: number;
  readonly lostExtensions: number;
}

export interface PubsubServer {
  /** `host:port`, as `PUBSUB_EMULATOR_HOST` wants it. */
  readonly address: string;
  /** One call at a time. */
  deliveries(): Promise<PubsubDeliveries>;
  close(): Promise<void>;
}

/** Google's own stand-in for Pub/Sub, of its Go client's tests. */
export async function pubsubServer(options: PubsubServerOptions = {}): Promise<PubsubServer> {
  const child = spawnService(
    build(),
    [
      `-min-ack-deadline=${options.minAckDeadlineSeconds ?? 0}s`,
      `-lose-acks=${options.loseAcks ?? 0}`,
      `-lose-extensions=${options.loseExtensions ?? 0}`,
    ],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const lines = createInterface(child.stdout!)[Symbol.asyncIterator]();
  const next = async (): Promise<string> => {
    const line = await lines.next();
    if (line.done) throw new MillraceError("TOOL_MISSING", "pstest did not start.", { kind: "operational" });
    return line.value.trim();
  };
  const address = await next();
  return {
    address,
    async deliveries() {
      child.stdin!.write("\n");
      return JSON.parse(await next()) as PubsubDeliveries;
    },
    async close() {
      if (child.exitCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function build(): string {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "millrace", "pstest-2.9.0-3");
  const program = join(folder, "pstest");
  if (existsSync(program)) return program;
  mkdirSync(folder, { recursive: true });
  const go = debianProgram("go", { package: "golang-go", paths: ["/usr/local/go/bin/go"], probe: ["version"] });
  const built = download(go, ["build", "-o", program, "."], {
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
