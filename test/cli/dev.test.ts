import { readFile } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createProject, INDEX, type Project, type Running } from "./project.ts";

const FEATURES = `
import { count, entity, featureService, featureView, fileReplay, httpPush, streamSource, sum, t } from ${JSON.stringify(INDEX)};
import { windows } from "./lib/deep/windows.ts";
export const card = entity("card", { card_id: t.string() });
export const payments = streamSource("payments", {
  stream: fileReplay({ path: new URL("payments.jsonl", import.meta.url).pathname }),
  clock: "stream", eventTime: "at", lateness: "1m", id: "id",
  schema: { id: t.string(), card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});
export const clicks = streamSource("clicks", {
  stream: httpPush(), clock: "stream", eventTime: "at", lateness: "1m", id: "id",
  schema: { id: t.string(), card_id: t.string(), at: t.timestamp() },
});
export const activity = featureView("activity", {
  source: payments, entity: card, features: { spend: sum(payments.amount).over(windows) },
});
export const browsing = featureView("browsing", { source: clicks, entity: card, features: { clicked: count().over("24h") } });
export const risk = featureService("risk", { features: { ...activity, clicked: browsing.clicked } });
`;
const START = Date.UTC(2026, 0, 1);
const EVENTS = 20_000;
const at = (i: number): string => new Date(START + i * 100).toISOString();

describe("millrace dev", () => {
  let project: Project;
  let dev: Running;
  let url = "";
  let cursor = 0;

  const ask = async (): Promise<Record<string, unknown>> => {
    const response = await fetch(`${url}/v1/features/online`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ service: "risk", rows: [{ card_id: "a" }] }),
    });
    const answer = (await response.json()) as { columns: string[]; rows: unknown[][]; detail?: string };
    expect(response.status, answer.detail).toBe(200);
    return Object.fromEntries(answer.columns.map((name, i) => [name, answer.rows[0]![i]]));
  };
  const push = async (id: number): Promise<void> => {
    const response = await fetch(`${url}/v1/sources/clicks/events`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify([{ id: String(id), card_id: "a", at: at(EVENTS - 1) }]),
    });
    expect(response.status, await response.text()).toBe(202);
  };
  const says = async (text: string): Promise<void> => {
    await dev.says(text, cursor);
    cursor = dev.text().length;
  };

  beforeEach(async () => {
    const lines = Array.from({ length: EVENTS }, (_, i) => ({ id: String(i), card_id: "a", amount: 1, at: at(i) }));
    project = await createProject({
      "features.ts": FEATURES,
      "lib/deep/windows.ts": 'export const windows = "1h";\n',
      "payments.jsonl": lines.map((line) => `${JSON.stringify(line)}\n`).join(""),
    });
    dev = project.start(["dev"]);
    cursor = 0;
    await says("Ready.");
    url = await project.url();
    while ((await ask()).spend !== EVENTS) await new Promise((resolve) => setImmediate(resolve));
  });
  afterEach(() => project[Symbol.asyncDispose]());

  it("takes over a file that is imported from afar, while every request and push is answered", async () => {
    let taken = false;
    let pushed = 0;
    const seen = new Set<string>();
    const asking = async (): Promise<void> => {
      while (!taken) {
        const { clicked: _, ...row } = await ask();
        seen.add(JSON.stringify(row));
      }
    };
    const pushing = async (): Promise<void> => {
      while (!taken) await push(pushed++);
    };
    const busy = [asking(), pushing()];
    const changed = says("Taken over.");
    await project.write("lib/deep/windows.ts", 'export const windows = ["1h", "24h"];\n');
    await Promise.race([changed, ...busy]);
    taken = true;
    await Promise.all(busy);
    const row = { spend_1h: EVENTS, spend_24h: EVENTS };
    expect(await ask()).toEqual({ ...row, clicked: pushed });
    seen.add(JSON.stringify(row));
    // What was asked meanwhile was answered by the old declarations or by the new ones, both filled.
    expect([...seen]).toEqual([JSON.stringify({ spend: EVENTS }), JSON.stringify(row)]);
    expect(await project.url()).toBe(url);
  });

  it("refuses what cannot be loaded and what breaks stored data, with the reason, and goes on", async () => {
    await project.write("lib/deep/windows.ts", "export const windows = ;\n");
    await says("DECLARATIONS_INVALID");
    expect(await ask()).toEqual({ spend: EVENTS, clicked: 0 });
    await project.write("lib/deep/windows.ts", 'export const windows = "1h";\n');
    await says("Taken over.");

    await project.write("features.ts", FEATURES.replace("amount: t.float64()", "amount: t.int64()"));
    await says("PLAN_BREAKING");
    expect((await project.run(["plan", "--check"])).code).toBe(2);
    expect((await project.run(["plan"])).code).toBe(0);
    expect(await ask()).toEqual({ spend: EVENTS, clicked: 0 });
    await push(1);

    await project.write(
      "features.ts",
      FEATURES.replace("import { windows }", "import { windows as _ }").replace("(windows)", '("2h")'),
    );
    await says("Taken over.");
    expect(await ask()).toEqual({ spend: EVENTS, clicked: 1 });
  });

  it("starts anew with a changed configuration, and goes on with the old one if that is wrong", async () => {
    const config = await readFile(join(project.folder, "millrace.config.ts"), "utf8");
    await project.write("millrace.config.ts", config.replace("port: 0", 'port: "many"'));
    await says("CONFIG_INVALID");
    expect(await ask()).toEqual({ spend: EVENTS, clicked: 0 });
    await project.write("millrace.config.ts", config.replace("port: 0", "port: 0, maxRows: 1"));
    await says("Ready.");
    url = await project.url();
    expect(await ask()).toEqual({ spend: EVENTS, clicked: 0 });

    await using taken = await listen();
    await project.write("millrace.config.ts", config.replace("port: 0", `port: ${taken.port}`));
    await says("The change is not taken over, and what was there goes on. ");
    url = await project.url();
    expect(await ask()).toEqual({ spend: EVENTS, clicked: 0 });
    dev.child.kill("SIGTERM");
    expect(await dev.ended).toBe(0);
  });

  it("takes declarations over that change with the configuration, and those that change after it", async () => {
    const config = await readFile(join(project.folder, "millrace.config.ts"), "utf8");
    await project.write("lib/deep/windows.ts", 'export const windows = ["1h"];\n');
    await says("Taken over.");
    await project.write("lib/deep/windows.ts", 'export const windows = ["1h", "24h"];\n');
    await project.write("millrace.config.ts", config.replace("port: 0", "port: 0, maxRows: 1"));
    await says("starting anew.");
    await says("Ready.");
    url = await project.url();
    expect(await ask()).toEqual({ spend_1h: EVENTS, spend_24h: EVENTS, clicked: 0 });

    await project.write("lib/deep/windows.ts", 'export const windows = ["2h", "24h"];\n');
    await says("Taken over.");
    expect(await ask()).toEqual({ spend_2h: EVENTS, spend_24h: EVENTS, clicked: 0 });

    // Neither can be loaded: what was there goes on.
    await project.write("lib/deep/windows.ts", "export const windows = ;\n");
    await project.write("millrace.config.ts", config.replace("port: 0", "port: 0, maxRows: 2"));
    await says("The change is not taken over, and what was there goes on. DECLARATIONS_INVALID");
    expect(await ask()).toEqual({ spend_2h: EVENTS, spend_24h: EVENTS, clicked: 0 });
  });
});

/** A port that somebody has. */
async function listen(): Promise<{ readonly port: number; [Symbol.asyncDispose](): Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
