import { readFileSync } from "node:fs";

export interface WatchedUsage {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMiB: number;
}

const EVERY_MS = 200;
/** Per second, on Linux. */
const CLOCK_TICKS = 100;

/** The time that a process takes until it has ended, its CPU time and its largest resident memory. */
export async function watchProcess(pid: number, ended: Promise<unknown>): Promise<WatchedUsage> {
  const started = performance.now();
  let cpuSeconds = 0;
  let peakMiB = 0;
  const look = (): void => {
    try {
      // proc_pid_stat(5), after the name: user and system time are fields 14 and 15.
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ").map(Number);
      cpuSeconds = Math.max(cpuSeconds, (fields[11]! + fields[12]!) / CLOCK_TICKS);
      const peak = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"));
      if (peak !== null) peakMiB = Math.round(Number(peak[1]) / 1_024);
    } catch {
      // It has ended.
    }
  };
  const timer = setInterval(look, EVERY_MS);
  try {
    await ended;
  } finally {
    clearInterval(timer);
  }
  return { seconds: (performance.now() - started) / 1_000, cpuSeconds, peakMiB };
}
