import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { claimDataFolder, readOwner } from "../../src/processes/process-file.ts";

const OWNER = fileURLToPath(new URL("./process-owner.ts", import.meta.url));
const URL_OF_OWNER = "http://127.0.0.1:1234";

let folder = "";
let children: ChildProcess[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-owner-"));
  children = [];
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await rm(folder, { recursive: true, force: true });
});

async function start(data: string, url?: string): Promise<{ child: ChildProcess; says: string }> {
  const child = spawn(process.execPath, [OWNER, data, ...(url === undefined ? [] : [url])], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  children.push(child);
  const [says] = (await once(createInterface({ input: child.stdout! }), "line")) as [string];
  return { child, says };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "exit");
}

describe("the owner of a data folder", () => {
  test("is found by other processes with its address and token, which only its user may read", async () => {
    const { child } = await start(folder, URL_OF_OWNER);
    expect(await readOwner(folder)).toEqual({ pid: child.pid, url: URL_OF_OWNER, token: "secret" });
    expect((await stat(join(folder, "process"))).mode & 0o777).toBe(0o700);
    expect((await stat(join(folder, "process", "process.json"))).mode & 0o777).toBe(0o600);
  });

  test("is refused by name while it lives, with its pid and address", async () => {
    const { child } = await start(folder, URL_OF_OWNER);
    const error = await claimDataFolder(folder, { pid: process.pid, url: null, token: "" }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: "DATA_FOLDER_IN_USE",
      kind: "operational",
      details: { pid: child.pid, url: URL_OF_OWNER },
    });
    expect((error as Error).message).toContain(`process ${child.pid}, which serves at ${URL_OF_OWNER}`);
    expect((error as Error).message).toContain("stop that process");
  });

  test("is nobody after kill -9, and the next process takes over", async () => {
    const { child } = await start(folder, URL_OF_OWNER);
    await kill(child);
    expect(await readOwner(folder)).toBeNull();
    const next = await start(folder);
    expect(next.says).toBe("owner");
    expect((await readOwner(folder))?.pid).toBe(next.child.pid);
  });

  test("is nobody if another process has its pid now", async () => {
    const { child } = await start(folder);
    await kill(child);
    const file = join(folder, "process", "process.json");
    const left = JSON.parse(await readFile(file, "utf8")) as object;
    const lock = (await readdir(join(folder, "process"))).find((name) => name.startsWith("lock."))!;
    await writeFile(file, JSON.stringify({ ...left, pid: process.pid }));
    await writeFile(join(folder, "process", lock), JSON.stringify({ ...left, pid: process.pid }));
    expect(await readOwner(folder)).toBeNull();
    expect((await start(folder)).says).toBe("owner");
  });

  test("gives the folder up for the next one", async () => {
    const first = await start(folder, URL_OF_OWNER);
    first.child.stdin!.end();
    await once(first.child, "exit");
    expect(await readOwner(folder)).toBeNull();
    expect((await start(folder)).says).toBe("owner");
  });

  test("may change its address", async () => {
    const claim = await claimDataFolder(folder, { pid: process.pid, url: null, token: "t" });
    expect((await readOwner(folder))?.url).toBeNull();
    await claim.update(URL_OF_OWNER);
    expect(await readOwner(folder)).toEqual({ pid: process.pid, url: URL_OF_OWNER, token: "t" });
    await claim.release();
    await claim.release();
    expect(await readOwner(folder)).toBeNull();
  });

  test("is exactly one of many that try at once, also over the remains of a dead one", async () => {
    for (let round = 0; round < 2; round++) {
      const all = await Promise.all(Array.from({ length: 6 }, () => start(folder)));
      const owners = all.filter(({ says }) => says === "owner");
      expect(owners).toHaveLength(1);
      expect((await readOwner(folder))?.pid).toBe(owners[0]!.child.pid);
      await kill(owners[0]!.child);
    }
  });

  test("is exactly one of many that try at once within a process, over and over", async () => {
    for (let round = 0; round < 20; round++) {
      const tries = await Promise.allSettled(
        Array.from({ length: 8 }, () => claimDataFolder(folder, { pid: process.pid, url: null, token: "" })),
      );
      const claims = tries.filter((attempt) => attempt.status === "fulfilled");
      expect(claims).toHaveLength(1);
      await claims[0]!.value.release();
    }
    expect((await readdir(join(folder, "process"))).length).toBeLessThanOrEqual(2);
  });

  test("is nobody where the remains are cut short", async () => {
    const { child } = await start(folder);
    await kill(child);
    for (const name of await readdir(join(folder, "process"))) await writeFile(join(folder, "process", name), '{"pi');
    expect(await readOwner(folder)).toBeNull();
    expect((await start(folder)).says).toBe("owner");
  });
});

describe("a data folder that cannot be written", () => {
  test("is refused if it is a file", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    const { says } = await start(file);
    expect(says).toMatch(
      /^DATA_FOLDER_UNWRITABLE: The data folder .*file cannot be written: a part of the path is a file/,
    );
  });

  test("is refused if there is no room", async () => {
    // The limit for the size of files, 0 here, fails writes as a full disk does.
    const child = spawn("sh", ["-c", `ulimit -f 0; exec "$0" "$1" "$2"`, process.execPath, OWNER, folder], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    children.push(child);
    const [says] = (await once(createInterface({ input: child.stdout! }), "line")) as [string];
    expect(says).toMatch(/^DATA_FOLDER_UNWRITABLE: .*EFBIG.*has room/);
    expect(await readOwner(folder)).toBeNull();
  });
});
