import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openOnlineStore, type StoresConfig } from "../../src/pipeline/stores.ts";
import { checkValues, type ValueCheck } from "./check-values.ts";

/** Where a child kills itself, or after how many milliseconds from its start of replaying it is killed. */
export type Crash = { readonly point: string; readonly after: number } | { readonly milliseconds: number };

export interface CrashRun extends ValueCheck {
  /** How many of the planned crashes found the child alive. */
  readonly crashes: number;
}

/** Replays the flights, crashing in turn as planned, restarting each time, then to the end; compares all values. */
export async function runWithCrashes(
  crashes: readonly Crash[],
  recovery: "recover" | "no-recovery" = "recover",
  stores: Omit<StoresConfig, "data"> = { online: { store: "lmdb" }, offline: { store: "duckdb" } },
): Promise<CrashRun> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-crash-"));
  try {
    const config: StoresConfig = { data: folder, ...stores };
    let died = 0;
    for (const crash of crashes) {
      const { killed, finished } = await runChild(config, crash, recovery);
      if (killed) died++;
      if (finished) break;
    }
    const last = await runChild(config, { point: "none", after: 0 }, recovery);
    if (!last.finished) throw new TypeError(`The last run did not finish: ${last.output}`);
    const online = await openOnlineStore(config);
    try {
      return { ...(await checkValues(online)), crashes: died };
    } finally {
      await online.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function runChild(
  config: StoresConfig,
  crash: Crash,
  recovery: string,
): Promise<{ killed: boolean; finished: boolean; output: string }> {
  const [point, after] = "point" in crash ? [crash.point, crash.after] : ["none", 0];
  const script = new URL("crash-child.ts", import.meta.url).pathname;
  const child = spawn(process.execPath, [script, JSON.stringify(config), point, String(after), recovery], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let timer: NodeJS.Timeout | undefined;
  child.stderr.on("data", (data) => {
    output += data;
  });
  child.stdout.on("data", (data) => {
    output += data;
    if ("milliseconds" in crash && timer === undefined)
      timer = setTimeout(() => child.kill("SIGKILL"), crash.milliseconds);
  });
  const signal = await new Promise<NodeJS.Signals | null>((resolve) => child.on("close", (_code, how) => resolve(how)));
  clearTimeout(timer);
  return { killed: signal === "SIGKILL", finished: output.includes("finished"), output };
}
