import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { apiKeys } from "../../src/api/auth/api-keys.ts";

let home = "";
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "millrace-api-keys-"));
});
afterAll(() => rm(home, { recursive: true }));

it("changes of processes at the same moment are all kept", async () => {
  const file = join(home, "shared.json");
  const code = `import { apiKeys } from ${JSON.stringify(fileURLToPath(new URL("../../src/api/auth/api-keys.ts", import.meta.url)))};
const keys = apiKeys(process.argv[1]);
const made = await Promise.all([1, 2, 3, 4].map((n) => keys.create({ name: process.argv[2] + n, scopes: ["read"], expiresAt: null })));
await keys.revoke(made[0].key.id);`;
  const processes = Array.from({ length: 4 }, (_, i) =>
    promisify(execFile)(process.execPath, ["--input-type=module-typescript", "-e", code, file, `p${i}-`]),
  );
  await Promise.all(processes);
  const all = await apiKeys(file).list();
  const names = [0, 1, 2, 3].flatMap((i) => [1, 2, 3, 4].map((n) => `p${i}-${n}`));
  expect(all.map(({ name }) => name).sort()).toEqual(names);
  expect(all.filter(({ revoked_at }) => revoked_at !== null).map(({ name }) => name)).toHaveLength(4);
});

it("a rotated key counts until its grace is over, and the new one may do the same", async () => {
  let now = Date.UTC(2026, 0, 1);
  const keys = apiKeys(join(home, "rotated.json"), () => now);
  const old = await keys.create({ name: "checkout", scopes: ["predict"], expiresAt: null, rateLimit: 7 });
  const next = await keys.rotate(old.key.id, new Date(now + 60_000), null);
  expect(next.key).toMatchObject({ name: "checkout", scopes: ["predict"], rate_limit: 7, expires_at: null });
  expect(await keys.find(old.text)).not.toBeNull();
  now += 61_000;
  expect(await keys.find(old.text)).toBeNull();
  expect((await keys.find(next.text))?.id).toBe(next.key.id);
  await expect(keys.rotate(old.key.id, new Date(now), null)).rejects.toMatchObject({ code: "KEY_UNKNOWN" });
  const short = await keys.create({ name: "short", scopes: ["read"], expiresAt: new Date(now + 5_000) });
  await keys.rotate(short.key.id, new Date(now + 60_000), null);
  now += 5_001;
  expect(await keys.find(short.text)).toBeNull();
});

it("says what a file is that it cannot read or write", async () => {
  const damaged = join(home, "damaged.json");
  await writeFile(damaged, '{ "keys": [{}] }');
  await expect(apiKeys(damaged).list()).rejects.toMatchObject({ code: "KEYS_UNREADABLE" });
  const blocked = join(home, "blocked");
  await writeFile(blocked, "");
  const key = { name: "", scopes: ["read"], expiresAt: null } as const;
  await expect(apiKeys(join(blocked, "keys.json")).create(key)).rejects.toMatchObject({ code: "KEYS_UNWRITABLE" });
  await mkdir(join(home, "folder"));
  await expect(apiKeys(join(home, "folder")).list()).rejects.toMatchObject({ code: "KEYS_UNREADABLE" });
});
