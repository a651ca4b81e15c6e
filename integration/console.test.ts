import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { createProject, INDEX, type Project } from "../test/cli/project.ts";
import { debianProgram } from "./services/debian-program.ts";

const FEATURES = `
import { count, derive, entity, featureService, featureView, httpPush, model, outcome, streamSource, t } from ${JSON.stringify(INDEX)};
export const card = entity("card", { card_id: t.string() });
export const payments = streamSource("payments", {
  stream: httpPush(), eventTime: "at", lateness: "1m", schema: { card_id: t.string(), at: t.timestamp() },
});
export const activity = featureView("card_activity", { source: payments, entity: card, features: { payments: count().over("1h") } });
export const fraud = featureService("fraud_v1", { features: { payments: activity.payments } });
export const risk = model("risk", {
  inputs: fraud, output: { probability: t.float64() }, predict: ({ payments }) => ({ probability: payments / 10 }),
  predictionLog: { sampleRate: 1 },
});
export const paid = outcome("paid_again", {
  model: risk, source: payments, keys: { card_id: payments.card_id }, predicted: "probability", within: "1h",
  label: derive({ card: payments.card_id }, t.bool(), () => true),
});
`;

/** The page's document after seconds of its own time, in a browser without a profile. */
async function look(chromium: string, url: string): Promise<string> {
  const profile = await mkdtemp(join(tmpdir(), "millrace-browser-"));
  try {
    const flags = [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      `--user-data-dir=${profile}`,
    ];
    const budget = ["--virtual-time-budget=6000", "--timeout=60000", "--dump-dom"];
    const { stdout } = await promisify(execFile)(chromium, [...flags, ...budget, url], { maxBuffer: 2 ** 26 });
    return stdout;
  } finally {
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function post(url: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<number> {
  const init = {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  };
  return (await fetch(url, init)).status;
}

/** The texts of a table's row that begins with a name. */
function rowOf(page: string, name: string): readonly string[] {
  const rows = [...page.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<td[^>]*>(.*?)<\/td>/g)].map(([, text]) => text!),
  );
  return rows.find((row) => row[0] === name) ?? [];
}

describe("the console in a browser", () => {
  let chromium = "";
  beforeAll(() => {
    chromium = debianProgram("chromium");
  }, 300_000);

  it("shows models, services, sources and what happens now", async () => {
    await using project: Project = await createProject({ "features.ts": FEATURES });
    const serving = project.start(["serve"], { MILLRACE_OUTCOME_SECONDS: "0.2" });
    await serving.says("Ready.");
    const url = await project.url();
    const at = new Date().toISOString();
    expect(await post(`${url}/v1/sources/payments/events`, [{ card_id: "c1", at }])).toBe(202);
    expect(await post(`${url}/v1/models/risk/predict`, { rows: [{ card_id: "c1" }] })).toBe(200);
    const again = [{ card_id: "c1", at: new Date().toISOString() }];
    expect(await post(`${url}/v1/sources/payments/events`, again)).toBe(202);
    let isOver = false;
    const load = (async () => {
      while (!isOver) expect(await post(`${url}/v1/models/risk/predict`, { rows: [{ card_id: "c1" }] })).toBe(200);
    })();
    const page = await look(chromium, `${url}/`);
    isOver = true;
    await load;
    expect(page).toMatch(/<span id="state"[^>]*>ready<\/span>/);
    expect(page).toMatch(/Predictions<\/h3><strong>[\d,.]+<\/strong><small>rows\/s/);
    expect(page).toMatch(/Prediction latency, P99<\/h3><strong>[\d,.]+ (µs|ms|s)<\/strong>/);
    expect(rowOf(page, "risk").slice(0, 3)).toEqual(["risk", "fraud_v1", "serving"]);
    expect(rowOf(page, "fraud_v1").slice(0, 2)).toEqual(["fraud_v1", "card_activity"]);
    expect(rowOf(page, "payments").slice(0, 4)).toEqual(["payments", "http_push", expect.any(String), "2"]);
    expect(page).toMatch(/paid_again<\/td><td[^>]*>last 500<\/td>.*?brier 0\.\d+/);
  }, 120_000);

  it("asks for a key where keys are needed, and shows nothing without one", async () => {
    await using project: Project = await createProject({ "features.ts": FEATURES });
    const env = { MILLRACE_REQUIRE_KEYS: "true" };
    expect((await project.run(["keys", "create", "--scope", "read"], env)).code).toBe(0);
    const serving = project.start(["serve"], env);
    await serving.says("Ready.");
    const page = await look(chromium, `${await project.url()}/`);
    expect(page).toContain(">an API key is needed<");
    expect(page).not.toContain('id="login" hidden');
    expect(page).not.toContain("fraud_v1");
  }, 120_000);
});
