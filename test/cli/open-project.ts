import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
const INDEX = fileURLToPath(new URL("../../src/index.ts", import.meta.url));

const FEATURES = `
import { count, entity, featureService, featureView, fileReplay, latest, streamSource, sum, t } from ${JSON.stringify(INDEX)};
export const card = entity("card", { card_id: t.string() }, { owner: "fraud team", tags: { pii: "yes" } });
export const payments = streamSource("payments", {
  stream: fileReplay({ path: new URL("payments.jsonl", import.meta.url).pathname }),
  clock: "stream", eventTime: "at", lateness: "1m", id: "id",
  schema: { id: t.string(), card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});
export const activity = featureView("activity", {
  source: payments, entity: card, owner: "fraud team", tags: { tier: "gold" }, description: "What a card does.",
  features: { n: count().over("1h"), spend: sum(payments.amount).over("1h"), last: latest(payments.amount) },
});
export const risk = featureService("risk", { features: { n: activity.n, spend: activity.spend, last: activity.last } });
`;

export interface Run {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A project in a folder of its own, whose commands run as processes. */
export interface TestProject extends AsyncDisposable {
  readonly folder: string;
  run(args: readonly string[]): Promise<Run>;
  // biome-ignore lint/suspicious/noExplicitAny: tests read into answers of any shape
  json(args: readonly string[]): Promise<any>;
  /** Resolves when it is ready; ends with the project. */
  serve(): Promise<ChildProcess>;
}

/** Cards a (10, 5.5, 2 an hour later) and b (1), one bad line; nothing is replayed yet. */
export async function openProject(features: string = FEATURES): Promise<TestProject> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-project-"));
  await writeFile(
    join(folder, "millrace.config.ts"),
    `import { defineConfig } from ${JSON.stringify(INDEX)};\nexport default defineConfig({ declarations: "./features.ts", server: { port: 0 }, logLevel: "error" });\n`,
  );
  await writeFile(join(folder, "features.ts"), features);
  const at = (minute: number): string => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
  const lines = [
    { id: "1", card_id: "a", amount: 10, at: at(0) },
    { id: "2", card_id: "a", amount: 5.5, at: at(30) },
    { id: "3", card_id: "b", amount: 1, at: at(31) },
    { id: "4", card_id: "b", amount: "no number", at: at(32) },
    { id: "5", card_id: "a", amount: 2, at: at(90) },
  ];
  await writeFile(join(folder, "payments.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""));
  const servers: ChildProcess[] = [];
  const start = (args: readonly string[]): ChildProcess =>
    spawn(process.execPath, [MAIN, ...args], { cwd: folder, env: process.env, stdio: ["ignore", "pipe", "pipe"] });
  const run = async (args: readonly string[]): Promise<Run> => {
    const child = start(args);
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
  return {
    folder,
    run,
    async json(args) {
      const done = await run(["--json", ...args]);
      if (done.stdout === "") throw new TypeError(`No answer to ${args.join(" ")}: ${done.stderr}`);
      return JSON.parse(done.stdout);
    },
    async serve() {
      const server = start(["serve"]);
      servers.push(server);
      await new Promise<void>((resolve, reject) => {
        server.stderr!.on("data", (data) => {
          if (String(data).includes("Ready.")) resolve();
        });
        server.on("exit", () => reject(new TypeError("The server ended.")));
      });
      return server;
    },
    async [Symbol.asyncDispose]() {
      for (const server of servers) {
        if (server.exitCode !== null || server.signalCode !== null) continue;
        const ended = new Promise((resolve) => server.on("exit", resolve));
        server.kill("SIGTERM");
        await ended;
      }
      await rm(folder, { recursive: true, force: true });
    },
  };
}
