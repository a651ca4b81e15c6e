import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { cleanHosts, useHost } from "../../../src/feature_engineering/beam/host-cache.ts";

const DAY_MS = 86_400_000;
const NOW = Date.parse("2026-03-01T00:00:00Z");
let cache = "";

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "millrace-host-cache-"));
});
afterEach(() => rm(cache, { recursive: true, force: true }));

/** A folder that was used so many days ago, by these users. */
async function folderOf(name: string, days: number, users: readonly string[] = []): Promise<void> {
  const folder = join(cache, name);
  await mkdir(join(folder, "users"), { recursive: true });
  await writeFile(join(folder, "host.jar"), "");
  const at = new Date(NOW - days * DAY_MS);
  for (const user of users) {
    await writeFile(join(folder, "users", user), "");
    await utimes(join(folder, "users", user), at, at);
  }
  await utimes(join(folder, "users"), at, at);
  await utimes(folder, at, at);
}

const left = async (): Promise<string[]> => (await readdir(cache)).sort();

it("keeps the four hosts that were used last, those of the last day and those in use, and removes the others", async () => {
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  for (const name of ["a", "b", "c", "d"]) await folderOf(`beam-host-${name}`, 0);
  await folderOf("beam-host-today", 0.9);
  await folderOf("beam-host-old", 2);
  await folderOf("beam-host-left", 3, [`${dead}@${hostname()}`]);
  await folderOf("beam-host-used", 90, [`${process.pid}@${hostname()}`]);
  await folderOf("beam-host-elsewhere", 20, ["1@another"]);
  await folderOf("beam-host-forgotten", 40, ["1@another"]);
  await folderOf("beam-build-x", 2);
  await folderOf("beam-build-now", 0);
  await folderOf("apicurio", 400);
  cleanHosts(cache, NOW);
  const hosts = ["a", "b", "c", "d", "elsewhere", "today", "used"].map((name) => `beam-host-${name}`);
  expect(await left()).toEqual(["apicurio", "beam-build-now", ...hosts]);
});

it("keeps the four newest however old they are", async () => {
  for (let days = 100; days < 106; days++) await folderOf(`beam-host-${days}`, days);
  cleanHosts(cache, NOW);
  expect(await left()).toEqual([100, 101, 102, 103].map((days) => `beam-host-${days}`));
});

it("says whether there is a host, and that this process uses it", async () => {
  expect(useHost(join(cache, "beam-host-none"))).toBe(false);
  expect(existsSync(join(cache, "beam-host-none"))).toBe(false);
  for (const name of ["a", "b", "c", "d"]) await folderOf(`beam-host-${name}`, 0);
  await folderOf("beam-host-old", 50);
  expect(useHost(join(cache, "beam-host-old"))).toBe(true);
  expect(await readdir(join(cache, "beam-host-old", "users"))).toEqual([`${process.pid}@${hostname()}`]);
  cleanHosts(cache, NOW + 10 * DAY_MS);
  expect(await left()).toContain("beam-host-old");
});

it("takes a host that it may only read", async () => {
  await mkdir(join(cache, "beam-host-image"));
  await chmod(join(cache, "beam-host-image"), 0o555);
  expect(useHost(join(cache, "beam-host-image"))).toBe(true);
});
