import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";

let bound: readonly string[] | null = null;

/**
 * As Node's `spawn`, but the child is killed when this process ends, however it ends: a service that is left over takes
 * memory and time from the runs after it. Only the child itself is: its own children see for themselves. Without
 * `setpriv` (of util-linux), the child stays.
 */
export function spawnService(program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  bound ??=
    spawnSync("setpriv", ["--pdeathsig", "KILL", "true"]).status === 0 ? ["setpriv", "--pdeathsig", "KILL"] : [];
  const [first, ...rest] = [...bound, program, ...args];
  return spawn(first!, rest, options);
}
