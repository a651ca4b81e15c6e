import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { httpLoad } from "./http-load.ts";
import { pinLoad, startMillrace, trainServingModel } from "./serving-contestants.ts";
import { type Sent, timedLoad } from "./timed-load.ts";

/** So that one core can make the load: a request costs much more to predict than to send. */
const ROWS = 10;
const TREES = 2_000;
const CONNECTIONS = 1_000;
const CALM_MS = 250;

/** Four times the capacity of one process for a minute (or the seconds given), then half of it. */
export async function run(args: readonly string[]): Promise<void> {
  const seconds = Number(args[0] ?? 60);
  const folder = await mkdtemp(join(tmpdir(), "millrace-overload-"));
  try {
    const model = await trainServingModel(folder, TREES);
    pinLoad(1);
    const server = await startMillrace(model, 1);
    try {
      const url = `${server.url}/v1/models/whole/predict`;
      const names = (row: readonly number[]): object => Object.fromEntries(row.map((value, i) => [`f${i}`, value]));
      const bodies = Array.from({ length: 50 }, (_, i) =>
        JSON.stringify({
          rows: Array.from({ length: ROWS }, (_none, j) => names(model.rows[(i * ROWS + j) % 1_000]!)),
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
      const over = await timedLoad(url, bodies, capacity * 4, seconds, CONNECTIONS);
      const served = over.sent.filter(({ status }) => status === 200);
      const others = over.sent.filter(({ status }) => status !== 200 && status !== 503).length;
      print(
        `four times, ${seconds} s: ${summary(over.sent, seconds)}, ${over.unsent} not sent (all of ${CONNECTIONS} connections waited); the load was late by ${over.lagP99.toFixed(1)} ms (P99)`,
      );
      const health = await fetch(`${server.url}/readyz`);
      print(
        `=> served ${((100 * served.length) / over.sent.length).toFixed(1)}% of what came, ${((100 * served.length) / seconds / capacity).toFixed(0)}% of the capacity; P99 of the served ${quantile(served, 0.99).toFixed(1)} ms; ${others} answers other than 200 and 503; /readyz ${health.status}`,
      );
      const after = await timedLoad(url, bodies, capacity / 2, 10, CONNECTIONS);
      print(
        `=> recovered ${recoverySeconds(after.sent).toFixed(2)} s after the overload; then ${summary(after.sent, 10)}`,
      );
    } finally {
      await server.stop();
    }
  } finally {
    pinLoad(2);
    await rm(folder, { recursive: true, force: true });
  }
}

/** The end of the last quarter of a second in which something was refused or took ten times as long as it should. */
function recoverySeconds(sent: readonly Sent[]): number {
  const usual = quantile(sent, 0.5);
  let bad = 0;
  for (const { at, latency, status } of sent) {
    if (status !== 200 || latency > Math.max(50, 10 * usual))
      bad = Math.max(bad, Math.ceil((at + 1) / CALM_MS) * CALM_MS);
  }
  return bad / 1_000;
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
