import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { startMonitoredWorld, until } from "../integration/monitoring/monitored-world.ts";
import { httpLoad } from "./http-load.ts";

const SECONDS = 40;

/**
 * P50, P95 and P99 that a real Prometheus computes, against the exact ones of whoever sent the requests. The model is
 * asked of a server that takes its time, by a lognormal distribution, so that the way to Millrace and back, which only
 * the sender sees, weighs little.
 */
export async function run(): Promise<void> {
  let state = 7;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 4_294_967_298;
  };
  const scoring = createServer((request, response) => {
    const answer = (): void => void response.setHeader("content-type", "application/json").end('{"predictions":[1]}');
    request.resume();
    const normal = Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
    if (request.method !== "POST") answer();
    else request.on("end", () => setTimeout(answer, 40 * Math.exp(0.6 * normal)));
  });
  scoring.listen(0, "127.0.0.1");
  await once(scoring, "listening");
  const { port } = scoring.address() as AddressInfo;
  try {
    await using world = await startMonitoredWorld({
      scale: 60,
      scoringUrl: `http://127.0.0.1:${port}`,
      queueDelayTargetMs: 0,
    });
    const body = JSON.stringify({ rows: [{ card_id: "c", amount: 1 }] });
    const load = await httpLoad(`${world.millrace.url}/v1/models/asked/predict`, [body], 4, SECONDS);
    const series = 'millrace_prediction_duration_seconds_COUNT{model="asked"}';
    await until("Prometheus has them all", async () => {
      const [sample] = await world.prometheus.query(series.replace("COUNT", "count"));
      return (sample?.value ?? 0) >= load.requests - load.failures;
    });
    process.stdout.write(`${load.requests.toLocaleString("en")} requests, ${load.failures} failures\n`);
    for (const [q, exact] of [
      [0.5, load.p50],
      [0.95, load.p95],
      [0.99, load.p99],
    ] as const) {
      const [sample] = await world.prometheus.query(`histogram_quantile(${q}, ${series.replace("COUNT", "bucket")})`);
      const told = sample!.value * 1_000;
      process.stdout.write(
        `P${q * 100}: Prometheus ${told.toFixed(2)} ms, exact at the sender ${exact.toFixed(2)} ms: ${((told / exact - 1) * 100).toFixed(1)}%   (aim: within 3%)\n`,
      );
    }
  } finally {
    scoring.closeAllConnections();
    scoring.close();
  }
}
