import { type FileHandle, open, readFile, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";

/** A lock that is silent for so long belongs to a machine that died, milliseconds. */
const SILENT_MS = 60_000;
const BEAT_MS = 10_000;

/**
 * Runs `work` while holding the lock file `path`, which all processes that use the folder respect; waits for another
 * holder as long as it lives. Null, without having run it, once `isDone` says that the work is done already.
 */
export async function withFileLock<T>(
  path: string,
  isDone: () => Promise<boolean>,
  work: () => Promise<T>,
): Promise<T | null> {
  for (let pause = 20; !(await take(path)); pause = Math.min(500, pause * 1.5)) {
    if (await isDone()) return null;
    if (await isLeft(path)) await breakLock(path);
    await wait(pause * (0.5 + Math.random()));
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, BEAT_MS);
  beat.unref();
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  let file: FileHandle;
  try {
    file = await open(path, "wx");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
  try {
    await file.writeFile(JSON.stringify({ pid: process.pid, host: hostname() }));
    return true;
  } catch (error) {
    // Of a full disk: whoever comes once there is room would wait for nobody.
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** True if the holder is gone. */
async function isLeft(path: string): Promise<boolean> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, "utf8"), stat(path)]);
    if (Date.now() - mtimeMs > SILENT_MS) return true;
    // Empty: it is being written this moment.
    if (text === "") return false;
    const { pid, host } = JSON.parse(text) as { pid: number; host: string };
    return host === hostname() && !isAlive(pid);
  } catch {
    return false;
  }
}

/** One process at a time takes a lock away, and looks again before, so that it never takes a fresh one. */
async function breakLock(path: string): Promise<void> {
  const breaker = `${path}.break`;
  if (await take(breaker)) {
    try {
      if (await isLeft(path)) await rm(path, { force: true });
    } finally {
      await rm(breaker, { force: true });
    }
  } else if (await isLeft(breaker)) {
    await rm(breaker, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}
