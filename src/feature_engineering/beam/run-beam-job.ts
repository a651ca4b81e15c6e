import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { BeamFitJob } from "./beam-fit-job.ts";
import { type BeamHost, JVM_OPTIONS } from "./beam-host.ts";
import type { BeamJob } from "./beam-job.ts";

export interface RunOptions {
  /** Beam's own options, such as `--runner=FlinkRunner`. */
  readonly options: readonly string[];
  /** The most memory of the launching JVM, which with an embedded runner is also the workers'. Default 2048. */
  readonly heapMegabytes?: number;
  /** Told of the job's state and counters about once a second. */
  readonly onProgress?: (progress: BeamProgress) => void;
  /** Where the JVM's log goes, line by line. Default: only its end is kept, for errors. */
  readonly onLog?: (line: string) => void;
}

export interface BeamProgress {
  /** `running`, `restarting` (after a failure), `done`, or what else Beam calls it, such as `cancelled`. */
  readonly state: string;
  /** By source: `events`, `dead_letters`, `duplicates`, `tiles`, `writes` and so on. */
  readonly counters: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** By source: `newest_event_ms`, `watermark_ms` (epoch milliseconds), `backlog_messages`, as far as they are known. */
  readonly levels?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** Why it is restarting, as far as the runner's log says. */
  readonly cause?: string;
  /** Where the job can go on, if it was stopped with a savepoint. */
  readonly savepoint?: string;
}

export interface RunningBeamJob {
  readonly pid: number;
  /** The last that the job told. */
  progress(): BeamProgress | null;
  /** Resolves when the job has ended. @throws `BEAM_JOB_FAILED`, `DEAD_LETTER_THRESHOLD` with what {@link StoppedSource} has */
  readonly ended: Promise<BeamProgress>;
  /** Ends the job with a savepoint in a folder (a URL of a file system), or without one. */
  stop(savepointFolder: string | null): void;
  /** Ends the JVM. */
  kill(signal?: NodeJS.Signals): void;
}

const LAST_WORDS = 4_000;

/** Starts a job in a JVM of its own. The job file, which holds passwords, is private and removed when the job has ended. */
export async function runBeamJob(
  host: BeamHost,
  job: BeamJob | BeamFitJob,
  options: RunOptions,
): Promise<RunningBeamJob> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-beam-"));
  const file = join(folder, "job.json");
  await writeFile(file, JSON.stringify(job), { mode: 0o600 });
  const child = spawn(
    host.java,
    [
      `-Xmx${options.heapMegabytes ?? 2_048}m`,
      ...JVM_OPTIONS,
      ...(host.archive === null ? [] : [`-XX:SharedArchiveFile=${host.archive}`]),
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      // It says of every operator that its name is long.
      "-Dorg.slf4j.simpleLogger.log.org.apache.flink.metrics=error",
      ...["-cp", host.classPath, "io.millrace.beam.Main", `--job=${file}`],
      ...options.options,
      ...(await embeddedRestore(options.options, folder)),
    ],
    // Ctrl-C reaches every process of a terminal's group: the job is to end with a savepoint, as the launcher says.
    { stdio: ["pipe", "pipe", "pipe"], detached: true },
  );
  let last: BeamProgress | null = null;
  let words = "";
  let causes: readonly string[] = [];
  let stopped: MillraceError | null = null;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const told = progressOf(line);
    if (told === null) return;
    // What is told of a failure is not to have what a former one said.
    if (told.state === "running" && last?.state === "restarting") causes = [];
    last = told.state === "restarting" ? { ...told, cause: causeOf(words, causes) } : told;
    options.onProgress?.(last);
  });
  createInterface({ input: child.stderr }).on("line", (line) => {
    words = `${words}${line}\n`.slice(-LAST_WORDS);
    stopped ??= stoppedBy(line);
    if (line.startsWith("Caused by:")) causes = [line, ...causes].slice(0, 3);
    options.onLog?.(line);
  });
  const ended = new Promise<BeamProgress>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0 && last !== null) resolve(last);
      else if (stopped !== null) reject(stopped);
      else {
        reject(
          millraceError(
            "BEAM_JOB_FAILED",
            `The Beam job ended with ${signal ?? `code ${code}`}: ${causeOf(words, causes)}`,
            {
              kind: "operational",
            },
          ),
        );
      }
    });
  }).finally(() => rm(folder, { recursive: true, force: true }));
  ended.catch(() => {});
  // A job that has ended takes nothing more.
  child.stdin.on("error", () => {});
  const stop = (folder: string | null): void =>
    void child.stdin.write(folder === null ? "cancel\n" : `stop ${folder}\n`);
  return { pid: child.pid ?? -1, stop, progress: () => last, ended, kill: (signal = "SIGTERM") => child.kill(signal) };
}

/**
 * Beam gives `--savepointPath` to a Flink cluster only: an embedded Flink would begin anew without a word. It takes the
 * same from its own configuration.
 */
async function embeddedRestore(options: readonly string[], folder: string): Promise<readonly string[]> {
  const given = (name: string): string | undefined =>
    options.findLast((option) => option.startsWith(`--${name}=`))?.slice(name.length + 3);
  const savepoint = given("savepointPath");
  if (savepoint === undefined || given("flinkMaster") !== "[local]" || given("flinkConfDir") !== undefined) return [];
  const unclaimed = given("allowNonRestoredState") === "true";
  await writeFile(
    join(folder, "flink-conf.yaml"),
    `execution.savepoint.path: ${savepoint}\nexecution.savepoint.ignore-unclaimed-state: ${unclaimed}\n`,
  );
  return [`--flinkConfDir=${folder}`];
}

function progressOf(line: string): BeamProgress | null {
  try {
    const told = JSON.parse(line) as BeamProgress;
    return typeof told.state === "string" ? told : null;
  } catch {
    // Something that a library printed.
    return null;
  }
}

/** Which source stopped a job by its bad messages. */
export interface StoppedSource {
  readonly source: string;
  readonly bad: number;
  readonly reasons: readonly string[];
}

function stoppedBy(line: string): MillraceError | null {
  const facts = /DeadLetterShare\$TooMany: ([\w+/]+=*): /.exec(line)?.[1];
  if (facts === undefined) return null;
  const [source = "", bad, ...reasons] = Buffer.from(facts, "base64").toString("utf8").split("\n");
  return millraceError(
    "DEAD_LETTER_THRESHOLD",
    `Too large a share of the messages of source '${source}' cannot be used: ${reasons.join("; ")}`,
    { kind: "operational", details: { source, bad: Number(bad), reasons } },
  );
}

/** The innermost causes first: a runner wraps what went wrong many times. */
function causeOf(words: string, causes: readonly string[]): string {
  return causes.join("; ") || words.trim().slice(-1_500) || "it said nothing";
}
