import { type ChildProcess, type SpawnOptions, spawn, spawnSync } from "node:child_process";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";

let bound: readonly string[] | null = null;

/**
 * As Node's `spawn`, but the child is killed when this process ends, however it ends: a service that is left over takes
 * memory and time from the runs after it. Only the child itself is: its own children see for themselves. Without
 * `setpriv` (of util-linux), the child stays.
 */
export function spawnService(program: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
  bound ??= binding();
  const [first, ...rest] = [...bound, program, ...args];
  return spawn(first!, rest, options);
}

function binding(): readonly string[] {
  // The whole path, since the child may have a PATH of its own.
  const setpriv = (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, "setpriv"))
    .find(isProgram);
  if (setpriv === undefined) return [];
  const bind = [setpriv, "--pdeathsig", "KILL"];
  return spawnSync(setpriv, [...bind.slice(1), "true"]).status === 0 ? bind : [];
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
