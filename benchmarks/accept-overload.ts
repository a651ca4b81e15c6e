import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeModel } from "../test/api/models/write-model.ts";
import { connectionFlood } from "./connection-flood.ts";
import { httpLoad } from "./http-load.ts";
import { processUsage, waitedForCore } from "./process-usage.ts";
import { type Histogram, quantileBetween, servedHistogram } from "./served-histogram.ts";
import { pinLoad, startMillrace } from "./serving-contestants.ts";
import { type Sent, timedLoad } from "./timed-load.ts";

/** So that much less than one core makes the load: a request costs far more to predict than to send. */
const TREES = 6_000;
const ROWS = 4;
const FEATURES = Array.from({ length: 30 }, (_, i) => `f${i}`);
const CONNECTIONS = 2_000;
const CALM_MS = 250;
const FLOOD_SECONDS = 8;
/** Until then a burst is taken that may wait longer than a standing queue; see "Shedding" in docs/serving.md. */
const BURST_MS = 2_000;

/** Four times the capacity of one process for a minute (or the seconds given), then half of it, then a flood of connections. */
export async function run(args: readonly string[]): Promise<void> {
  const seconds = Number(args[0] ?? 60);
  const folder = await mkdtemp(join(tmpdir(), "millrace-overload-"));
  try {
    await writeModel(join(folder, "mlflow"), {
      answer: 0.25,
      features: FEATURES,
      ballast: { trees: TREES, depth: 6 },
    });
    pinLoad(1);
    const server = await startMillrace({ folder, rows: [], expected: [] }, 1);
    try {
      const url = `${server.url}/v1/models/whole/predict`;
      const bodies = Array.from({ length: 50 }, (_, i) =>
        JSON.stringify({
          rows: Array.from({ length: ROWS }, (_, row) =>
            Object.fromEntries(FEATURES.map((name, f) => [name, ((i * 31 + row * 7 + f * 17) % 100) / 10])),
          ),
        }),
      );
      await httpLoad(url, bodies, 16, 3);
      const calm = await httpLoad(url, bodies, 16, 6);
      const capacity = calm.requests / calm.seconds;
      print(
        `capacity at 16 connections: ${Math.round(capacity)} requests/s of ${ROWS} rows, P99 ${calm.p99.toFixed(1)} ms, ${calm.failures} failures`,
      );
      const half = await timedLoad(url, bodies, capacity / 2, 5, CONNECTIONS);
      print(`half of it: ${summary(half.sent, 5)}`);
      const [served0, load0] = [processUsage([server.pid]).cpuSeconds, process.cpuUsage()];
      const waited0 = waitedForCore(server.pid);
      const own0 = await ownTimes(server.url);
      const over = await timedLoad(url, bodies, capacity * 4, seconds, CONNECTIONS);
      const own = await ownTimes(server.url);
      const used = process.cpuUsage(load0);
      const cores = (used.user + used.system) / 1e6 / seconds;
      const serverCores = (processUsage([server.pid]).cpuSeconds - served0) / seconds;
      const served = over.sent.filter(({ status }) => status === 200);
      const others = over.sent.filter(({ status }) => status !== 200 && status !== 503).length;
      print(
        `${(over.sent.length / seconds / capacity).toFixed(1)} times the capacity for ${seconds} s: ${summary(over.sent, seconds)}, ${over.unsent} not sent (all of ${CONNECTIONS} connections waited); the load was late by ${over.lagP99.toFixed(1)} ms (P99) and took ${cores.toFixed(2)} cores, the server ${serverCores.toFixed(2)}, and had work and no core in ${((100 * (waitedForCore(server.pid) - waited0)) / seconds).toFixed(1)}% of the time`,
      );
      const later = served.filter(({ at }) => at >= BURST_MS);
      print(
        `of the served: sent after the first ${BURST_MS / 1_000} s P50 ${quantile(later, 0.5).toFixed(1)} P99 ${quantile(later, 0.99).toFixed(1)} ms; in the server, from reading a request to its answer, P50 ${quantileBetween(own0.requests, own.requests, 0.5).toFixed(1)} P99 ${quantileBetween(own0.requests, own.requests, 0.99).toFixed(1)} ms; a task waited for its event loop, as requests do before they are read, P50 ${quantileBetween(own0.loop, own.loop, 0.5).toFixed(1)} P99 ${quantileBetween(own0.loop, own.loop, 0.99).toFixed(1)} ms`,
      );
      const health = await fetch(`${server.url}/readyz`);
      print(
        `=> served ${((100 * served.length) / over.sent.length).toFixed(1)}% of what came, ${((100 * served.length) / seconds / capacity).toFixed(0)}% of the capacity (aim: 90); P99 of the served ${quantile(served, 0.99).toFixed(1)} ms (aim: under 100); ${others} answers other than 200 and 503; /readyz ${health.status}`,
      );
      const after = await timedLoad(url, bodies, capacity / 2, 10, CONNECTIONS);
      print(
        `=> recovered ${recoverySeconds(after.sent).toFixed(2)} s after the overload (aim: under 1); then ${summary(after.sent, 10)}; the load was late by ${after.lagP99.toFixed(1)} ms (P99)`,
      );
      const [flood, kept] = await Promise.all([
        connectionFlood(url, bodies, FLOOD_SECONDS, CONNECTIONS),
        timedLoad(url, bodies, 50, FLOOD_SECONDS, 16),
      ]);
      const unanswered = flood.filter(({ status }) => status !== 200 && status !== 503).length;
      print(
        `=> flood, each request over a new connection, ${CONNECTIONS} at once: ${summary(flood, FLOOD_SECONDS)}, ${unanswered} without such an answer (aim: 0); over connections that were kept meanwhile ${summary(kept.sent, FLOOD_SECONDS)}`,
      );
      if (others + unanswered > 0) process.exitCode = 1;
    } finally {
      await server.stop();
    }
  } finally {
    pinLoad(2);
    await rm(folder, { recursive: true, force: true });
  }
}

/** Of the server: what is refused is in neither. */
async function ownTimes(url: string): Promise<{ readonly requests: Histogram; readonly loop: Histogram }> {
  return {
    requests: await servedHistogram(url, "millrace_http_request_duration_seconds", 'route="/v1/models/:name/predict"'),
    loop: await servedHistogram(url, "millrace_thread_event_loop_lag_seconds", 'thread="main"'),
  };
}

/**
 * When the first second begins in which nothing is refused and, of each quarter of it, 99% take what they should; the
 * latency afterwards is printed beside it.
 */
function recoverySeconds(sent: readonly Sent[]): number {
  const usual = Math.max(50, 10 * quantile(sent, 0.5));
  const spans = new Map<number, Sent[]>();
  for (const one of sent) {
    const span = Math.floor(one.at / CALM_MS);
    spans.set(span, [...(spans.get(span) ?? []), one]);
  }
  const isGood = (span: number): boolean => {
    const all = spans.get(span) ?? [];
    return all.length > 0 && all.every(({ status }) => status === 200) && quantile(all, 0.99) <= usual;
  };
  for (let span = 0; span <= Math.max(...spans.keys()); span++) {
    if ([0, 1, 2, 3].every((next) => isGood(span + next))) return (span * CALM_MS) / 1_000;
  }
  return Infinity;
}

function summary(sent: readonly Sent[], seconds: number): string {
  const served = sent.filter(({ status }) => status === 200);
  const refused = sent.filter(({ status }) => status === 503);
  return `${Math.round(sent.length / seconds)} requests/s came, ${Math.round(served.length / seconds)} served with P50 ${quantile(served, 0.5).toFixed(1)} P99 ${quantile(served, 0.99).toFixed(1)} ms, ${Math.round(refused.length / seconds)} refused with P99 ${quantile(refused, 0.99).toFixed(1)} ms`;
}

function quantile(sent: readonly Sent[], q: number): number {
  const sorted = sent.map(({ latency }) => latency).sort((a, b) => a - b);
  return sorted[Math.floor(q * (sorted.length - 1))] ?? 0;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
