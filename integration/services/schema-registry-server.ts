import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import { answers } from "./answers.ts";
import { debianProgram } from "./debian-program.ts";
import { download } from "./download.ts";
import { freePorts } from "./free-ports.ts";
import { spawnService } from "./spawn-service.ts";

/** A schema registry that speaks Confluent's API: Apicurio, in memory. */
export interface SchemaRegistryServer {
  /** Where Confluent's API begins. */
  readonly url: string;
  close(): Promise<void>;
}

const VERSION = "2.6.13.Final";
const DEADLINE_MS = 120_000;

export async function schemaRegistryServer(): Promise<SchemaRegistryServer> {
  const java = debianProgram("java", { package: "openjdk-17-jre-headless", probe: ["-version"] });
  const folder = unpacked();
  const jar = readdirSync(folder).find((file) => file.endsWith("-runner.jar"))!;
  const [port] = await freePorts(1);
  const child = spawnService(
    java,
    ["-Xmx384m", `-Dquarkus.http.port=${port}`, "-Dquarkus.http.host=127.0.0.1", "-jar", join(folder, jar)],
    { cwd: tmpdir(), stdio: "ignore" },
  );
  const url = `http://127.0.0.1:${port}/apis/ccompat/v7`;
  const deadline = Date.now() + DEADLINE_MS;
  while (!(await answers(`${url}/subjects`))) {
    if (child.exitCode !== null || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw failed(`it ended with code ${child.exitCode}, or took no request in time`);
    }
    await pause(200);
  }
  return {
    url,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, "exit");
      child.kill("SIGKILL");
      await ended;
    },
  };
}

function unpacked(): string {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "millrace", `apicurio-${VERSION}`);
  if (existsSync(join(folder, "complete"))) return folder;
  mkdirSync(folder, { recursive: true });
  const mvn = debianProgram("mvn", { package: "maven" });
  const artifact = `io.apicurio:apicurio-registry-app:${VERSION}:tar.gz:all`;
  const copied = download(
    mvn,
    ["-q", "-B", "dependency:copy", `-Dartifact=${artifact}`, `-DoutputDirectory=${folder}`],
    {
      cwd: tmpdir(),
      encoding: "utf8",
    },
  );
  if (copied.status !== 0) throw failed(`Maven could not bring it: ${`${copied.stdout}${copied.stderr}`.slice(-500)}`);
  const archive = readdirSync(folder).find((file) => file.endsWith(".tar.gz"))!;
  const untarred = spawnSync("tar", ["xzf", archive], { cwd: folder, encoding: "utf8" });
  if (untarred.status !== 0) throw failed(`its archive cannot be unpacked: ${untarred.stderr}`);
  writeFileSync(join(folder, "complete"), "");
  return folder;
}

function failed(why: string): MillraceError {
  return new MillraceError("TOOL_MISSING", `The schema registry did not start: ${why}`, { kind: "operational" });
}
