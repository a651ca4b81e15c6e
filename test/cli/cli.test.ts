import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { readFrame } from "../../src/feature_store/offline/duckdb-frame.ts";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const INDEX = fileURLToPath(new URL("../../src/index.ts", import.meta.url));

const FEATURES = (windows: string): string => `
import { count, entity, featureService, featureView, fileReplay, latest, streamSource, sum, t } from ${JSON.stringify(INDEX)};
export const card = entity("card", { card_id: t.string() });
export const payments = streamSource("payments", {
  stream: fileReplay({ path: new URL("payments.jsonl", import.meta.url).pathname }),
  clock: "stream", eventTime: "at", lateness: "1m", id: "id",
  schema: { id: t.string(), card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});
export const activity = featureView("activity", {
  source: payments, entity: card,
  features: { n: count().over(${windows}), spend: sum(payments.amount).over("1h"), last: latest(payments.amount) },
});
export const risk = featureService("risk", { features: { n: activity.n, spend: activity.spend, last: activity.last } });
`;

interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

describe("the millrace command", () => {
  let folder = "";
  const servers: ChildProcess[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-cli-"));
    await writeFile(
      join(folder, "millrace.config.ts"),
      `import { defineConfig } from ${JSON.stringify(INDEX)};\nexport default defineConfig({ declarations: "./features.ts", server: { port: 0 }, logLevel: "error" });\n`,
    );
    await writeFile(join(folder, "features.ts"), FEATURES('"1h"'));
    const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
    const lines = [
      { id: "1", card_id: "a", amount: 10, at: at(0) },
      { id: "2", card_id: "a", amount: 5.5, at: at(30) },
      { id: "3", card_id: "b", amount: 1, at: at(31) },
      { id: "4", card_id: "b", amount: "no number", at: at(32) },
      { id: "5", card_id: "a", amount: 2, at: at(90) },
    ];
    await writeFile(join(folder, "payments.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  });
  afterEach(() => {
    for (const server of servers.splice(0)) server.kill("SIGKILL");
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const start = (args: readonly string[], env: Readonly<Record<string, string>> = {}): ChildProcess =>
    spawn(process.execPath, [MAIN, ...args], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
  const run = async (args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Run> => {
    const child = start(args, env);
    let stdout = "";
    let stderr = "";
    child.stdout!.on("data", (data) => {
      stdout += data;
    });
    child.stderr!.on("data", (data) => {
      stderr += data;
    });
    const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
    return { code, stdout, stderr };
  };
  const json = async (args: readonly string[]): Promise<never> => {
    const done = await run(["--json", ...args]);
    expect(done.stderr).not.toContain("BUG");
    return JSON.parse(done.stdout) as never;
  };

  it("plans, replays, reads, checks, and finds the dead letter, each in a process of its own", async () => {
    const first = await run(["plan"]);
    expect(first.stdout).toContain("+ view activity");
    const replayed: { sources: { source: string; events: number; dead_letters: number }[] } = await json(["replay"]);
    expect(replayed.sources).toEqual([{ source: "payments", events: 4, dead_letters: 1 }]);
    const read: { rows: unknown[]; columns: string[] } = await json(["get", "risk", "card_id=a"]);
    expect([read.columns, read.rows]).toEqual([["n", "spend", "last"], [[2, 7.5, 2]]]);
    const again: { sources: { events: number }[] } = await json(["replay"]);
    expect(again.sources[0]!.events).toBe(0);
    const earlier: { rows: unknown[] } = await json([
      "get",
      "risk",
      "card_id=b",
      "--as-of",
      "2026-01-01T00:31:00.001Z",
    ]);
    expect(earlier.rows).toEqual([[1, 1, 1]]);
    const overlap = await run(["get", "risk", "card_id=a", "--as-of", "2026-01-01T01:29:59Z"]);
    expect(overlap.stderr).toContain("Row 0: an event at or after that moment was applied");
    const { reports }: { reports: { mismatches: number; entities: number }[] } = await json(["check-consistency"]);
    expect(reports).toMatchObject([{ entities: 2, mismatches: 0 }]);
    const letters: { dead_letters: { code: string; source: string }[] } = await json(["dead-letters", "list"]);
    expect(letters.dead_letters).toMatchObject([{ source: "payments", code: "INVALID_VALUE" }]);
    expect((await run(["plan"])).stdout).toBe("No changes.\n");
  });

  it("makes a training set with its manifest", async () => {
    await writeFile(
      join(folder, "labels.csv"),
      "card_id,event_timestamp,late\na,2026-01-01T00:30:00Z,true\na,2026-01-01T01:00:00Z,false\nz,2026-01-01T01:00:00Z,false\n",
    );
    const done = await run(["training-set", "risk", "--entities", "labels.csv", "--out", "train.parquet"]);
    expect(done).toMatchObject({ code: 0 });
    const { rows } = await readFrame(join(folder, "train.parquet"));
    expect(rows.map(({ card_id, late, n, spend, last }) => [card_id, late, n, spend, last])).toEqual([
      ["a", true, 1, 10, 10],
      ["a", false, 2, 15.5, 5.5],
      ["z", false, 0, 0, null],
    ]);
    const manifest = JSON.parse(await readFile(join(folder, "millrace.json"), "utf8")) as object;
    expect(manifest).toMatchObject({ service: "risk", features: ["n", "spend", "last"], keys: ["card_id"] });
  });

  it("serves until it is told to stop, and answers other commands meanwhile", async () => {
    const server = start(["serve"]);
    servers.push(server);
    const ready = Promise.withResolvers<void>();
    server.stderr!.on("data", (data) => {
      if (String(data).includes("Ready.")) ready.resolve();
    });
    const ended = new Promise<number | null>((resolve) => server.on("exit", resolve));
    await Promise.race([ready.promise, ended]);
    const read: { rows: unknown[] } = await json(["get", "risk", "card_id=a"]);
    expect(read.rows).toEqual([[2, 7.5, 2]]);
    const second = await run(["serve"]);
    expect(second.code).toBe(2);
    expect(second.stderr).toContain("DATA_FOLDER_IN_USE");
    server.kill("SIGTERM");
    expect(await ended).toBe(0);
  });

  it("fills a changed view from history before it serves", async () => {
    await writeFile(
      join(folder, "features.ts"),
      FEATURES('["1h", "24h"]').replace("n: activity.n", "n: activity.n_1h, day: activity.n_24h"),
    );
    const plan = await run(["plan"]);
    expect(plan.stdout).toContain("activity");
    const read: { columns: string[]; rows: unknown[] } = await json(["get", "risk", "card_id=a"]);
    expect(read.rows).toEqual([[2, 3, 7.5, 2]]);
  });

  it.each([
    ["an unknown service", ["get", "nothing", "card_id=a"], {}, "SERVICE_UNKNOWN"],
    ["a missing key", ["get", "risk"], {}, "LOOKUP_COLUMN_MISSING"],
    ["a wrong variable", ["plan"], { MILLRACE_PORT: "many" }, "MILLRACE_PORT"],
    ["an unknown variable", ["plan"], { MILLRACE_PROT: "1" }, "MILLRACE_PROT"],
    ["no configuration", ["--config", "none.ts", "plan"], {}, "CONFIG_NOT_FOUND"],
    ["a data folder that is a file", ["replay"], { MILLRACE_DATA: "features.ts" }, "DATA_FOLDER_UNWRITABLE"],
    ["ingest alone", ["ingest"], {}, "INGEST_NEEDS_SHARED_STORES"],
    ["an unknown command", ["fly"], {}, "unknown command"],
  ])(
    "says what is wrong with %s, and exits with 2",
    async (_what, args, env, text) => {
      const done = await run(args, env);
      expect(done.stderr).toContain(text);
      expect(done.code).toBe(2);
      expect(done.stdout).toBe("");
    },
    60_000,
  );

  it("refuses a plan that breaks stored data, and leaves it as it is", async () => {
    await writeFile(
      join(folder, "features.ts"),
      FEATURES('"1h"').replace("amount: t.float64()", "amount: t.string()").replace("sum(payments.amount)", "count()"),
    );
    const done = await run(["get", "risk", "card_id=a"]);
    expect(done.code).toBe(2);
    expect(done.stderr).toContain("PLAN_BREAKING");
    await writeFile(join(folder, "features.ts"), FEATURES('"1h"'));
    const read: { rows: unknown[] } = await json(["get", "risk", "card_id=a"]);
    expect(read.rows).toEqual([[2, 7.5, 2]]);
  });
});
