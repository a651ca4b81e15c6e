import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

describe("npm start", () => {
  it("is ready, predicts real flights, answers over HTTP, and stops when told", async () => {
    const child = spawn("npm", ["start"], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      env: { ...process.env, MILLRACE_PORT: "0" },
      stdio: ["ignore", "pipe", "inherit"],
      detached: true,
    });
    try {
      const ended = new Promise<void>((resolve) => child.on("exit", () => resolve()));
      let url = "";
      for await (const line of createInterface(child.stdout!)) {
        url = /^Millrace is ready at (\S+)/.exec(line)?.[1] ?? url;
        if (line.startsWith("First prediction")) break;
      }
      expect(url).toMatch(/^http:/);
      expect((await fetch(`${url}/readyz`)).status).toBe(200);
      const metrics = await (await fetch(`${url}/metrics`)).text();
      for (const family of [
        "millrace_prediction_duration_seconds_bucket",
        "millrace_predictions_total",
        "millrace_model_load_duration_seconds_count",
        "millrace_online_store_hits_total",
        "millrace_ingestion_lag_seconds",
      ]) {
        expect(metrics, family).toContain(family);
      }
      const predict = await fetch(`${url}/v1/models/flight_delay/predict`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ rows: [{ carrier: "UA" }] }),
      });
      expect(predict.status).toBe(400);
      expect(await predict.json()).toMatchObject({ code: "LOOKUP_COLUMN_MISSING" });
      process.kill(-child.pid!, "SIGTERM");
      await ended;
    } finally {
      if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, "SIGKILL");
    }
  }, 120_000);
});
