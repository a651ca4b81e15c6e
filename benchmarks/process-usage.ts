import { readdirSync, readFileSync } from "node:fs";

/** Processes with all that descend from them: resident memory, and CPU time since they started. */
export function processUsage(roots: readonly number[]): { readonly residentMiB: number; readonly cpuSeconds: number } {
  const processes = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // proc_pid_stat(5), after the name: parent is field 4, user and system time 14 and 15 in ticks of 10 ms.
        const fields = readFileSync(`/proc/${name}/stat`, "utf8").split(") ").at(-1)!.split(" ").map(Number);
        const pages = Number(readFileSync(`/proc/${name}/statm`, "utf8").split(" ")[1]);
        return [{ pid: Number(name), parent: fields[1]!, ticks: fields[11]! + fields[12]!, pages }];
      } catch {
        return [];
      }
    });
  const members = new Set(roots);
  for (let size = 0; size < members.size; ) {
    size = members.size;
    for (const { pid, parent } of processes) if (members.has(parent)) members.add(pid);
  }
  const own = processes.filter(({ pid }) => members.has(pid));
  return {
    residentMiB: Math.round(own.reduce((sum, { pages }) => sum + pages, 0) / 256),
    cpuSeconds: own.reduce((sum, { ticks }) => sum + ticks, 0) / 100,
  };
}

/** How long a process's first thread could have run since its start and no core was free for it, seconds. */
export function waitedForCore(pid: number): number {
  // "Documentation/scheduler/sched-stats.rst" of the kernel: run time, time on a run queue, slices; nanoseconds.
  return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e9;
}
