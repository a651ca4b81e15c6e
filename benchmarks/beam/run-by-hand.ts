import { spawn } from "node:child_process";
import { MillraceError } from "../../src/definitions/errors.ts";

export interface ByHandOptions {
  /** A pattern of files of JSON lines. */
  readonly files: string;
  readonly redisPort: number;
  readonly prefix: string;
  readonly parallelism: number;
  readonly heapMegabytes: number;
  /** How many payments it folds before it hands on their tiles. */
  readonly atOnce: number;
  /** A PostgreSQL that has the table; null: payments are not kept. */
  readonly history: string | null;
}

const OPENS = ["java.util", "java.lang", "java.net", "java.io", "java.nio", "java.time", "java.util.concurrent"];

/** Starts the hand-written pipeline on an embedded Flink. */
export function runByHand(
  java: string,
  classPath: string,
  options: ByHandOptions,
): { readonly pid: number; readonly ended: Promise<void> } {
  const child = spawn(
    java,
    [
      `-Xmx${options.heapMegabytes}m`,
      "-XX:+UseParallelGC",
      ...OPENS.flatMap((name) => ["--add-opens", `java.base/${name}=ALL-UNNAMED`]),
      "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
      ...["-cp", classPath, "payments.Main"],
      ...[
        "--runner=FlinkRunner",
        "--flinkMaster=[local]",
        "--objectReuse=true",
        "--fasterCopy=true",
        `--parallelism=${options.parallelism}`,
      ],
      `--input=${options.files}`,
      `--redis=redis://127.0.0.1:${options.redisPort}`,
      `--prefix=${options.prefix}`,
      `--atOnce=${options.atOnce}`,
      ...(options.history === null ? [] : [`--history=${jdbc(options.history)}`]),
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let words = "";
  child.stderr.on("data", (bytes: Buffer) => {
    words = (words + bytes.toString("utf8")).slice(-2_000);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (code === 0) resolve();
      else reject(new MillraceError("BEAM_JOB_FAILED", `By hand: code ${code}. ${words}`, { kind: "operational" }));
    });
  });
  ended.catch(() => {});
  return { pid: child.pid ?? -1, ended };
}

function jdbc(url: string): string {
  const { host, pathname, username, password } = new URL(url);
  return `jdbc:postgresql://${host}${pathname}?user=${username}&password=${password}`;
}
