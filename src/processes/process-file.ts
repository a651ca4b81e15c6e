import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { chmod, link, mkdir, open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { type MillraceError, millraceError } from "../definitions/errors.ts";

/** The process that owns a data folder, as other processes find it. */
export interface DataFolderOwner {
  readonly pid: number;
  /** Where it serves; null while it starts, and for commands that serve nothing. */
  readonly url: string | null;
  /** What its admin routes ask for. */
  readonly token: string;
  /** The certificates that it may show there, PEM: a command trusts these and no others. Null for plain HTTP. */
  readonly certificates?: string | null;
}

export interface DataFolderClaim {
  /** Publishes where the owner serves, and by which certificates. */
  update(url: string | null, certificates?: string | null): Promise<void>;
  /** Gives the folder up. Idempotent. */
  release(): Promise<void>;
}

interface ProcessIdentity {
  readonly pid: number;
  /** Tells processes apart that had the same pid one after the other; null where the system does not say. */
  readonly started: string | null;
}

const FOLDER = "process";
const FILE = "process.json";
const LOCK = /^lock\.(\d{1,15})$/;

/**
 * Makes this process the one owner of a data folder, and writes its address to `process/process.json` there, which only
 * its user may read. An owner that died, even by `kill -9`, is recognised by its pid and start time and replaced.
 *
 * Locks are numbered files; the highest one counts and is made by `link`, which one process only can do. Numbers never
 * return, so that a process that looked at an old lock cannot take one that is held.
 *
 * @throws `DATA_FOLDER_IN_USE` with the owner's `pid` and `url`; `DATA_FOLDER_UNWRITABLE`
 */
export async function claimDataFolder(data: string, owner: DataFolderOwner): Promise<DataFolderClaim> {
  const folder = join(data, FOLDER);
  const self: ProcessIdentity = { pid: owner.pid, started: startOf(owner.pid) };
  const mine = join(folder, `.${owner.pid}.${crypto.randomUUID()}`);
  const file = join(folder, FILE);
  let number: number;
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    await chmod(folder, 0o700);
    await writePrivate(mine, JSON.stringify(self));
    try {
      number = await takeLock(data, folder, mine);
    } finally {
      await rm(mine, { force: true });
    }
  } catch (error) {
    throw unwritable(data, error);
  }
  const lock = join(folder, `lock.${number}`);
  let released = false;

  const publish = async (url: string | null, certificates: string | null = null): Promise<void> => {
    try {
      const known = certificates === null ? {} : { certificates };
      await writePrivate(mine, JSON.stringify({ ...self, url, token: owner.token, ...known }));
      await rename(mine, file);
    } catch (error) {
      await rm(mine, { force: true }).catch(() => {});
      throw unwritable(data, error);
    }
  };
  const release = async (): Promise<void> => {
    if (released) return;
    released = true;
    await rm(file, { force: true });
    // The number stays taken; only its owner is gone.
    await writePrivate(mine, "{}");
    await rename(mine, lock);
  };
  try {
    await publish(owner.url);
    await removeOlderLocks(folder, number);
  } catch (error) {
    await release().catch(() => {});
    throw error;
  }
  return { update: publish, release };
}

/** The living owner of a data folder; null if there is none. */
export async function readOwner(data: string): Promise<DataFolderOwner | null> {
  const found = await readJson(join(data, FOLDER, FILE));
  if (found === null || !isIdentity(found) || !isAlive(found)) return null;
  const { pid, url, token, certificates } = found as ProcessIdentity & Partial<DataFolderOwner>;
  return { pid, url: url ?? null, token: token ?? "", ...(certificates == null ? {} : { certificates }) };
}

async function takeLock(data: string, folder: string, mine: string): Promise<number> {
  for (;;) {
    const last = await highestLock(folder);
    if (last > 0) {
      const holder = await readJson(join(folder, `lock.${last}`));
      if (holder !== null && isIdentity(holder) && isAlive(holder)) throw await inUse(data, holder.pid);
    }
    const next = last + 1;
    try {
      await link(mine, join(folder, `lock.${next}`));
    } catch (error) {
      if (codeOf(error) === "EEXIST") continue;
      throw error;
    }
    // A lock of this number may have come and gone since the folder was read: then a higher one is there.
    if ((await highestLock(folder)) === next) return next;
    await rm(join(folder, `lock.${next}`), { force: true });
  }
}

/** 0 if there is none. */
async function highestLock(folder: string): Promise<number> {
  return Math.max(0, ...(await readdir(folder)).map((name) => Number(LOCK.exec(name)?.[1] ?? 0)));
}

/** The lock before this one stays: who reads the folder at this moment must see at least one of the two. */
async function removeOlderLocks(folder: string, number: number): Promise<void> {
  for (const name of await readdir(folder)) {
    const other = Number(LOCK.exec(name)?.[1] ?? number);
    if (other < number - 1) await rm(join(folder, name), { force: true });
  }
}

async function inUse(data: string, pid: number): Promise<MillraceError> {
  const owner = await readOwner(data);
  const url = owner?.pid === pid ? owner.url : null;
  const where = url === null ? "" : `, which serves at ${url}`;
  return millraceError(
    "DATA_FOLDER_IN_USE",
    `The data folder ${data} belongs to process ${pid}${where}, and the embedded stores have one owner at a time: stop that process, or name another folder (data in the configuration, or MILLRACE_DATA).`,
    { kind: "operational", details: { pid, url, data } },
  );
}

function unwritable(data: string, error: unknown): unknown {
  const code = codeOf(error);
  if (code === null || (error instanceof Error && error.name === "MillraceError")) return error;
  const why: Readonly<Record<string, string>> = {
    ENOSPC: "the disk is full",
    EDQUOT: "the disk quota is used up",
    EFBIG: "the limit for the size of files is reached",
    EACCES: "this user may not write there",
    EPERM: "this user may not write there",
    EROFS: "the file system is read-only",
    ENOTDIR: "a part of the path is a file",
    EEXIST: "there is a file of that name",
  };
  return millraceError(
    "DATA_FOLDER_UNWRITABLE",
    `The data folder ${data} cannot be written: ${why[code] ?? (error as Error).message} (${code}). Name a folder that this user may write and that has room (data in the configuration, or MILLRACE_DATA).`,
    { kind: "operational", cause: error, details: { data, reason: code } },
  );
}

/** Makes the file; one that is there is an error. */
async function writePrivate(path: string, text: string): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    await file.writeFile(text);
  } finally {
    await file.close();
  }
}

async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch {
    // Not there, or cut short by a full disk: nobody's.
    return null;
  }
}

function isIdentity(found: unknown): found is ProcessIdentity {
  if (typeof found !== "object" || found === null || !("pid" in found) || !("started" in found)) return false;
  return Number.isSafeInteger(found.pid) && (found.pid as number) > 0;
}

function isAlive(identity: ProcessIdentity): boolean {
  try {
    process.kill(identity.pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to another user.
    if (codeOf(error) === "ESRCH") return false;
  }
  const started = startOf(identity.pid);
  return started === identity.started && started !== "";
}

/** When a process started, in the system's own terms; empty if it has ended, null where the system does not say. */
function startOf(pid: number): string | null {
  if (process.platform === "linux") return linuxStartOf(pid);
  if (process.platform === "win32") return null;
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8", env: { LC_ALL: "C" } }).trim();
  } catch {
    return "";
  }
}

let boot: string | null = null;

/** The boot's id and the start in clock ticks since then. Source: proc_pid_stat(5), fields 3 and 22. */
function linuxStartOf(pid: number): string {
  boot ??= bootId();
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command, in brackets, may hold anything.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    // A zombie has ended; its parent only has not noticed yet.
    return fields[0] === "Z" || fields[0] === "X" ? "" : `${boot}/${fields[19]}`;
  } catch {
    return "";
  }
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}

function codeOf(error: unknown): string | null {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : null;
}
