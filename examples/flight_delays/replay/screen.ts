import { setTimeout as pause } from "node:timers/promises";
import type { OutcomeReport } from "../../../src/feature_store/outcomes/outcome-report.ts";
import type { Platform } from "../../../src/platform.ts";
import { auc, type Scored } from "./auc.ts";
import type { Flight } from "./flights.ts";

/** Predicts flights through the API and shows how it goes: one live line in a terminal, a line now and then elsewhere. */
export interface Screen {
  say(text: string): void;
  /** Predicts flights of one prediction time in one request. */
  predict(flights: readonly Flight[]): Promise<void>;
  finish(): Promise<void>;
  close(): void;
}

/** Predictions that the reports know of. */
function loggedOf(reports: readonly OutcomeReport[]): number {
  return reports.reduce((sum, { waiting, windows }) => {
    const { quality, unmatched } = windows.at(-1)!;
    return sum + waiting + quality.rows + unmatched;
  }, 0);
}

interface Waiting {
  readonly knownAt: number;
  readonly scored: Scored;
}

const EVERY_MS = 250;
const EVERY_MS_WITHOUT_TERMINAL = 5_000;

export function createScreen(platform: Platform, started: number): Screen {
  const live = process.stdout.isTTY === true;
  const url = `${platform.url}/v1/models/flight_delay/predict`;
  const latencies: number[] = [];
  const known: Scored[] = [];
  let waiting: Waiting[] = [];
  let predictions = 0;
  let now = Number.NEGATIVE_INFINITY;
  let shown = 0;
  let lastEvents = 0;
  let lastAt = performance.now();
  let rate = 0;

  function learn(): void {
    for (const { knownAt, scored } of waiting) if (knownAt < now) known.push(scored);
    waiting = waiting.filter(({ knownAt }) => knownAt >= now);
  }

  async function events(): Promise<number> {
    const { sources } = await platform.worker.status();
    return sources.reduce((sum, source) => sum + source.messages, 0);
  }

  async function show(): Promise<void> {
    learn();
    const total = await events();
    const at = performance.now();
    rate = ((total - lastEvents) / (at - lastAt)) * 1_000;
    lastEvents = total;
    lastAt = at;
    const recent = latencies.slice(-2_000).sort((a, b) => a - b);
    const quantile = (q: number): string => (recent[Math.floor(q * (recent.length - 1))] ?? 0).toFixed(2);
    const line = [
      new Date(now).toISOString().slice(0, 16).replace("T", " "),
      `${total.toLocaleString("en")} events (${Math.round(rate).toLocaleString("en")}/s)`,
      `${predictions.toLocaleString("en")} predictions`,
      `p50 ${quantile(0.5)} ms p99 ${quantile(0.99)} ms`,
      `AUC ${known.length > 500 ? auc(known).toFixed(4) : "…"} (${known.length.toLocaleString("en")} outcomes)`,
    ].join("  ");
    process.stdout.write(live ? `\r\u001b[2K${line}` : `${line}\n`);
  }

  /** What Millrace itself says of the model, by the arrivals that it joined with its predictions. */
  async function showQuality(): Promise<void> {
    // The last ones are on their way to the log.
    const until = performance.now() + 5_000;
    let reports = await platform.worker.outcomes(null);
    for (let before = -1; performance.now() < until && before !== loggedOf(reports); ) {
      before = loggedOf(reports);
      await pause(300);
      reports = await platform.worker.outcomes(null);
    }
    for (const { outcome, waiting, windows } of reports) {
      process.stdout.write(`\nOutcomes (${outcome}), as \`npm run millrace -- quality flight_delay_v1\` shows them:\n`);
      for (const { name, quality, unmatched } of windows) {
        const of = (metric: "auc" | "log_loss" | "brier" | "expected_calibration_error"): string =>
          quality.metrics[metric]?.value.toFixed(4) ?? "…";
        process.stdout.write(
          `  ${name.padEnd(6)} ${quality.rows.toLocaleString("en")} matched, ${unmatched.toLocaleString("en")} unmatched  AUC ${of("auc")}  log loss ${of("log_loss")}  Brier ${of("brier")}  calibration error ${of("expected_calibration_error")}\n`,
        );
      }
      process.stdout.write(`  ${waiting.toLocaleString("en")} predictions wait for theirs\n`);
    }
  }

  return {
    say: (text) => {
      process.stdout.write(`${text}\n`);
    },
    async predict(flights) {
      now = flights[0]!.time;
      const before = performance.now();
      const response = await fetch(url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ rows: flights.map((flight) => flight.lookup), as_of: now, exact: true }),
      });
      const answer = (await response.json()) as { predictions?: { probability: number }[]; detail?: string };
      if (answer.predictions === undefined) throw new TypeError(`The prediction failed: ${answer.detail}`);
      latencies.push(performance.now() - before);
      if (predictions === 0) {
        const seconds = ((performance.now() - started) / 1_000).toFixed(1);
        const { lookup } = flights[0]!;
        process.stdout.write(
          `First prediction after ${seconds} s: ${lookup.carrier} from ${lookup.origin} to ${lookup.dest} will be late with probability ${answer.predictions[0]!.probability.toFixed(3)}\n\n`,
        );
      }
      predictions += flights.length;
      for (const [i, { probability }] of answer.predictions.entries()) {
        const { late, knownAt } = flights[i]!;
        if (late !== null && knownAt !== null) waiting.push({ knownAt, scored: { score: probability, late } });
      }
      if (performance.now() - shown < (live ? EVERY_MS : EVERY_MS_WITHOUT_TERMINAL)) return;
      shown = performance.now();
      await show();
    },
    async finish() {
      now = Number.POSITIVE_INFINITY;
      learn();
      now = Date.UTC(2013, 3, 1);
      await show();
      if (live) process.stdout.write("\n");
      await showQuality();
    },
    close: () => {
      if (live) process.stdout.write("\n");
    },
  };
}
