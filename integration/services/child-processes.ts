import { execFileSync } from "node:child_process";

/** The ids of the children of a process whose command line holds this. */
export function childProcesses(parent: number, holding: string): readonly number[] {
  try {
    return execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(parent)], { encoding: "utf8" })
      .split("\n")
      .filter((line) => line.includes(holding))
      .map((line) => Number.parseInt(line, 10));
  } catch {
    // `ps` fails where there is none.
    return [];
  }
}
