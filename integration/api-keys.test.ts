import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, it } from "vitest";
import { millraceProcess } from "./services/millrace-process.ts";

const run = promisify(execFile);
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
let folder = "";
let config = "";
let env: Readonly<Record<string, string>> = {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-keys-"));
  config = join(folder, "millrace.config.ts");
  const index = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
  await writeFile(
    join(folder, "features.ts"),
    `import { featureService, requestSource, t } from ${index};
export const paying = featureService("paying", { features: { amount: requestSource({ amount: t.float64() }).amount } });
`,
  );
  await writeFile(config, 'export default { declarations: "./features.ts" };\n');
  env = { MILLRACE_HOST: "0.0.0.0", MILLRACE_KEYS_FILE: join(folder, "keys.json"), MILLRACE_PROCESSES: "2" };
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function keys(...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [MAIN, "--config", config, "keys", ...args], {
    env: { ...process.env, ...env },
  });
  return stdout.trim();
}

it("keys that commands make, rotate and revoke count in a running server, in each of its processes", async () => {
  await expect(millraceProcess(config, env)).rejects.toThrow(/KEYS_MISSING[\s\S]*millrace keys create/);
  const reads = await keys("create", "--scope", "read", "--name", "notebook");
  await using millrace = await millraceProcess(config, { ...env, MILLRACE_LOG_LEVEL: "debug" });
  const url = millrace.url.replace("0.0.0.0", "127.0.0.1");
  const ask = async (key: string, path = "/v1/models"): Promise<number> => {
    // A connection each: they are dealt out in turn.
    const headers = { authorization: `Bearer ${key}`, connection: "close" };
    return (await fetch(`${url}${path}`, { headers })).status;
  };
  const both = async (key: string, path?: string): Promise<readonly number[]> =>
    Promise.all([1, 2, 3, 4].map(() => ask(key, path)));
  const until = async (key: string, status: number): Promise<void> => {
    for (const deadline = performance.now() + 60_000; ; await pause(50)) {
      const found = await both(key);
      if (found.every((one) => one === status)) return;
      expect(performance.now(), String(found)).toBeLessThan(deadline);
    }
  };
  expect(await both(reads)).toEqual([200, 200, 200, 200]);
  expect(await both(reads, "/v1/dead-letters")).toEqual([403, 403, 403, 403]);
  expect(await both("mr_000000000000_nothing")).toEqual([401, 401, 401, 401]);

  const made = await Promise.all([1, 2, 3].map((n) => keys("create", "--scope", "read", "--name", `later-${n}`)));
  for (const key of made) await until(key, 200);
  const listed = JSON.parse(await keys("list", "--json")) as { keys: { id: string; name: string }[] };
  expect(listed.keys.map(({ name }) => name).sort()).toEqual(["later-1", "later-2", "later-3", "notebook"]);

  const old = listed.keys.find(({ name }) => name === "notebook")!.id;
  const rotated = await keys("rotate", old, "--grace", "1");
  await until(rotated, 200);
  expect(await both(reads)).toEqual([200, 200, 200, 200]);
  await keys("revoke", old);
  await until(reads, 401);
  expect(await both(rotated)).toEqual([200, 200, 200, 200]);

  // Of each of two processes one a second, and one at once.
  const slow = await keys("create", "--scope", "read", "--rate", "1");
  await until(slow, 429);

  const secrets = [reads, rotated, slow, ...made].map((key) => key.slice(16));
  const texts = [millrace.said(), await readFile(join(folder, "keys.json"), "utf8"), await keys("list")];
  for (const secret of secrets) for (const text of texts) expect(text).not.toContain(secret);
});
