import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, globSync, readFileSync } from "node:fs";
import { cp, mkdir, mkdtemp, readFile, rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { millraceError } from "../../definitions/errors.ts";
import { cleanHosts, useHost } from "./host-cache.ts";

/** What runs a Beam job: a Java, the class path of the host, and the script for its workers. */
export interface BeamHost {
  /** The program. */
  readonly java: string;
  readonly classPath: string;
  /** What the JVM kept of its classes when the host was built, which makes a start shorter; null: it could not. */
  readonly archive: string | null;
  /** The text of the bundled script. */
  readonly script: string;
}

export interface BeamHostOptions {
  /** Optional parts of the host: Maven profiles, such as `graal`. */
  readonly parts?: readonly string[];
  /** Told what takes its time. */
  readonly onBuild?: (what: string) => void;
}

const FOLDER = dirname(fileURLToPath(import.meta.url));
const OLDEST_JAVA = 17;
const ARCHIVE = "host.jsa";

/** What Flink needs of the JVM's own classes on Java 17, and a collector for throughput. */
export const JVM_OPTIONS: readonly string[] = [
  "-XX:+UseParallelGC",
  ...[
    ...["java.util", "java.lang", "java.net", "java.io", "java.nio", "java.time", "java.util.concurrent", "java.text"],
    ...["java.lang.reflect", "java.util.concurrent.atomic", "sun.nio.ch"],
  ].flatMap((name) => ["--add-opens", `java.base/${name}=ALL-UNNAMED`]),
];

/**
 * Finds Java and the host, which Maven builds at the first use; it is kept in the user's cache folder. `JAVA_HOME` wins
 * over the PATH.
 *
 * @throws `JAVA_MISSING` (none, or older than 17), `MAVEN_MISSING`, `BEAM_BUILD_FAILED`, `BEAM_SCRIPT_MISSING`
 */
export async function beamHost(options: BeamHostOptions = {}): Promise<BeamHost> {
  const [java, script] = await Promise.all([findJava(), workerScript()]);
  const built = await buildHost(java, [...(options.parts ?? [])].sort(), options.onBuild ?? (() => {}));
  const archive = join(built, ARCHIVE);
  return {
    java,
    classPath: classPathOf(built),
    archive: existsSync(archive) ? archive : null,
    script,
  };
}

async function findJava(): Promise<string> {
  const home = process.env.JAVA_HOME;
  const java = home === undefined || home === "" ? "java" : join(home, "bin", "java");
  const { code, words } = await run(java, ["-version"]);
  const version = Number(/version "(\d+)/.exec(words)?.[1] ?? 0);
  if (code === 0 && version >= OLDEST_JAVA) return java;
  throw millraceError(
    "JAVA_MISSING",
    `Beam needs Java ${OLDEST_JAVA} or newer, and ${code === 0 ? `${java} is version ${version || "unknown"}` : `there is no ${java}`}: install one (Debian: openjdk-17-jdk-headless), or set JAVA_HOME.`,
    { kind: "user" },
  );
}

/** The folder with the host's jar and `lib/`. */
async function buildHost(java: string, parts: readonly string[], onBuild: (what: string) => void): Promise<string> {
  const sources = join(FOLDER, "host");
  const files = globSync("{pom.xml,src/**/*.java,src/**/resources/**}", { cwd: sources }).sort();
  const hash = createHash("sha256").update(parts.join("+"));
  for (const file of files) if (file.includes(".")) hash.update(file).update(readFileSync(join(sources, file)));
  const cache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "millrace");
  const folder = join(cache, `beam-host-${hash.digest("hex").slice(0, 16)}`);
  if (useHost(folder)) return folder;
  onBuild("building the Beam host with Maven, once");
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(cache, "beam-build-"));
  try {
    await cp(sources, work, { recursive: true });
    const profiles = parts.length === 0 ? [] : [`-P${parts.join(",")}`];
    const { code, words } = await run("mvn", ["-q", "-B", "-DskipTests", ...profiles, "package"], work);
    if (code === null) {
      throw millraceError(
        "MAVEN_MISSING",
        "The Beam host is built with Maven at its first use, and there is no mvn: install it (Debian: maven).",
      );
    }
    if (code !== 0) {
      throw millraceError("BEAM_BUILD_FAILED", `Maven could not build the Beam host: ${words.trim().slice(-1_500)}`, {
        kind: "operational",
      });
    }
    // Another process may have been quicker.
    await rename(join(work, "target"), folder).then(
      () => archiveClasses(java, folder, work),
      (error: unknown) => {
        if (!existsSync(folder)) throw error;
      },
    );
    useHost(folder);
    cleanHosts(cache, Date.now());
    return folder;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function classPathOf(folder: string): string {
  return [join(folder, "millrace-beam-host.jar"), join(folder, "lib", "*")].join(delimiter);
}

/** Has the JVM keep what it loads for a small pipeline. Without it all works, and starts later. */
async function archiveClasses(java: string, folder: string, work: string): Promise<void> {
  const file = join(work, ARCHIVE);
  const options = [...JVM_OPTIONS, `-XX:ArchiveClassesAtExit=${file}`, "-cp", classPathOf(folder)];
  const { code } = await run(java, [...options, "io.millrace.beam.WarmUp"]);
  if (code === 0 && existsSync(file)) await rename(file, join(folder, ARCHIVE));
}

/** The script beside this module in the package; in the repository it is bundled when it is needed. */
async function workerScript(): Promise<string> {
  const built = join(FOLDER, "worker-script.js");
  if (existsSync(built)) return readFile(built, "utf8");
  const bundler = join(FOLDER, "..", "..", "..", "scripts", "build-beam.ts");
  const folder = await mkdtemp(join(tmpdir(), "millrace-script-"));
  try {
    const file = join(folder, "worker-script.js");
    const { code, words } = await run(process.execPath, [bundler, file]);
    if (code === 0) return await readFile(file, "utf8");
    throw millraceError(
      "BEAM_SCRIPT_MISSING",
      `There is no ${built}, and it could not be bundled: install the package again. ${words.trim().slice(-500)}`,
      { kind: "bug" },
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Runs a program to its end. `code` is null if there is no such program. */
function run(
  program: string,
  args: readonly string[],
  cwd?: string,
): Promise<{ readonly code: number | null; readonly words: string }> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { ...(cwd === undefined ? {} : { cwd }), stdio: ["ignore", "pipe", "pipe"] });
    let words = "";
    const hear = (bytes: Buffer): void => {
      words = (words + bytes.toString("utf8")).slice(-10_000);
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", () => resolve({ code: null, words }));
    child.once("close", (code) => resolve({ code, words }));
  });
}
