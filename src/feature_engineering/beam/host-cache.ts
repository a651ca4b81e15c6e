import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";

/** Hosts that are kept however old they are: those of a version, its parts, and the version before. */
const KEPT = 4;
/** Of the others, how long after their last use. Milliseconds. */
const KEPT_MS = 86_400_000;
/** A user on another machine, or in another container, cannot be asked whether it lives. Milliseconds. */
const TRUSTED_MS = 30 * 86_400_000;
/** A folder in each host: a file per process that uses it, `<pid>@<hostname>`. */
const USERS = "users";

const mine = new Set<string>();

/** Says that this process uses a host, until it ends; false if there is none in the folder. */
export function useHost(folder: string): boolean {
  const file = join(folder, USERS, `${process.pid}@${hostname()}`);
  try {
    // Not the folder itself, which another process may have removed.
    if (!existsSync(join(folder, USERS))) mkdirSync(join(folder, USERS));
    writeFileSync(file, "");
  } catch {
    // It may be one that this user can only read, and nobody cleans.
  }
  if (!mine.has(file)) process.once("exit", () => rmSync(file, { force: true }));
  mine.add(file);
  return existsSync(folder);
}

/**
 * Removes hosts of earlier versions, which nobody needs any more, and what broken builds left: all but the four that
 * were used last, and those that were used within a day or are in use. Another process may do the same at the same time,
 * or begin to use one.
 */
export function cleanHosts(cache: string, now: number): void {
  const namesOf = (pattern: RegExp): string[] => readdirSync(cache).filter((name) => pattern.test(name));
  for (const name of namesOf(/^beam-(build|removed)-/)) {
    const left = join(cache, name);
    if (now - changedAt(left) > KEPT_MS) remove(left);
  }
  const hosts = namesOf(/^beam-host-/)
    .map((name) => join(cache, name))
    .map((folder) => ({ folder, at: Math.max(changedAt(folder), changedAt(join(folder, USERS))) }))
    .sort((a, b) => b.at - a.at);
  for (const { folder, at } of hosts.slice(KEPT)) {
    if (now - at <= KEPT_MS || isUsed(folder, now)) continue;
    const aside = join(cache, `beam-removed-${crypto.randomUUID()}`);
    try {
      renameSync(folder, aside);
      // Someone may have begun just now: it keeps it, or builds another if it has looked meanwhile.
      if (isUsed(aside, now) && !existsSync(folder)) renameSync(aside, folder);
      else remove(aside);
    } catch {
      // Another process was quicker.
    }
  }
}

function remove(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true });
  } catch {
    // What cannot be removed costs space, and is no reason to stop.
  }
}

function isUsed(folder: string, now: number): boolean {
  let users: readonly string[];
  try {
    users = readdirSync(join(folder, USERS));
  } catch {
    return false;
  }
  return users.some((user) => {
    const [pid, host] = user.split("@");
    return host === hostname() ? isAlive(Number(pid)) : now - changedAt(join(folder, USERS, user)) < TRUSTED_MS;
  });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** The oldest moment if it is not there. */
function changedAt(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
