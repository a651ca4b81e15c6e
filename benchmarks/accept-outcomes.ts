import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pino from "pino";
import { type Flight, readFlights } from "../examples/flight_delays/replay/flights.ts";
import { pythonEnvironment } from "../integration/services/python-environment.ts";
import type { ResolvedConfig } from "../src/config/config.ts";
import { loadConfig } from "../src/config/resolve-config.ts";
import { brokenBounds } from "../src/feature_engineering/outcomes/broken-bounds.ts";
import type { OutcomePair } from "../src/feature_engineering/outcomes/outcome-pair.ts";
import { outcomeQuality } from "../src/feature_engineering/outcomes/outcome-quality.ts";
import type { OutcomeReport } from "../src/feature_store/outcomes/outcome-report.ts";
import { openPlatform, type Platform } from "../src/platform.ts";

const DAY_MS = 86_400_000;
/** Of the example's outcome. */
const WITHIN_MS = 2 * DAY_MS;
const BOUND = { auc: 0.65 };
const RECENT = 500;
const LOOK_EVERY = 10;

const file = (path: string): string => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
/** The example, and a model of a number: the mean delay at the origin is the guess. */
const FEATURES = `
import { derive, featureService, model, outcome, requestSource, t } from ${file("../src/index.ts")};
import { aircraftDepartures, arrivals, carrierDepartures, originDepartures, routeArrivals } from ${file("../examples/flight_delays/features.ts")};
export * from ${file("../examples/flight_delays/features.ts")};
const flight = requestSource({ prediction_time: t.timestamp() });
export const delayed = featureService("delayed", {
  features: {
    origin_delay: originDepartures.as({ airport: "origin" }).delay_mean_1h,
    carrier_late: carrierDepartures.late_rate_3h,
    route_late: routeArrivals.late_rate_7d,
    aircraft_delay: aircraftDepartures.delay,
    at: derive({ at: flight.prediction_time }, t.float64(), ({ at }) => at.getTime()),
  },
});
export const delayGuess = model("delay_guess", {
  inputs: delayed, output: { minutes: t.float64() }, version: "1", predictionLog: { sampleRate: 1 },
  predict: ({ origin_delay }) => ({ minutes: origin_delay ?? 0 }),
});
export const delays = outcome("delays", {
  model: delayGuess, source: arrivals, label: arrivals.arr_delay_minutes, predicted: "minutes", within: "2d", windows: ["30d"],
  keys: {
    carrier: arrivals.carrier, route: arrivals.route, tail_number: arrivals.tail_number,
    prediction_time: derive({ at: arrivals.scheduled_departure }, t.timestamp(), ({ at }) => new Date(at.getTime() - 1_800_000)),
  },
});
`;
const SCRIPT = `
import json, sys
from sklearn.metrics import roc_auc_score, log_loss, brier_score_loss, mean_absolute_error, root_mean_squared_error
late, score, delay, guess = json.load(sys.stdin)
json.dump([roc_auc_score(late, score), log_loss(late, score), brier_score_loss(late, score),
  mean_absolute_error(delay, guess), root_mean_squared_error(delay, guess)], sys.stdout)
`;

interface Predicted {
  readonly flight: Flight;
  readonly score: number;
  readonly guess: number;
}

/**
 * Predicts the flights of the first days of March (argument; default 4) while they depart, joins them with their arrivals
 * and compares with scikit-learn, before and after a restart; then breaks the model's answers in three ways.
 */
export async function run(args: readonly string[]): Promise<void> {
  const days = Number(args[0] ?? 4);
  const folder = await mkdtemp(join(tmpdir(), "millrace-outcomes-"));
  let wrong = 0;
  try {
    await writeFile(join(folder, "features.ts"), FEATURES);
    await writeFile(
      join(folder, "millrace.config.ts"),
      'export default { declarations: "./features.ts", replay: { hold: true }, quality: { outcomeSeconds: 0 } };\n',
    );
    const config = await loadConfig(join(folder, "millrace.config.ts"), {
      MILLRACE_DATA: join(folder, "data"),
      MILLRACE_PORT: "0",
    });
    const first = Date.parse("2013-03-01T00:00:00Z");
    const flights = readFlights("2013-03").filter(({ time }) => time < first + days * DAY_MS);
    const { predicted, reports } = await predictAll(config, flights, first + (days + 2) * DAY_MS);
    const clock = reports[0]!.clock;
    const known = predicted.filter(
      ({ flight: { knownAt, time, lookup } }) =>
        knownAt !== null && knownAt < clock && knownAt < time + WITHIN_MS && lookup.tail_number !== null,
    );
    const theirs = scikitLearn(known);
    const late = qualityOf(reports, "arrived_late");
    const delays = qualityOf(reports, "delays");
    const [auc, logLoss, brier, mae, rmse] = theirs;
    console.log(
      `${predicted.length} predictions of ${days} days, ${known.length} with an arrival; joined ${late.quality.rows} and ${delays.quality.rows}, ${late.unmatched} without one`,
    );
    for (const [name, ours, other] of [
      ["AUC", late.quality.metrics.auc!.value, auc],
      ["log loss", late.quality.metrics.log_loss!.value, logLoss],
      ["Brier", late.quality.metrics.brier!.value, brier],
      ["MAE, minutes", delays.quality.metrics.mae!.value, mae],
      ["RMSE, minutes", delays.quality.metrics.rmse!.value, rmse],
    ] as const) {
      const isEqual = Math.abs(ours - other!) < 1e-9;
      if (!isEqual) wrong++;
      console.log(`  ${name.padEnd(14)} ${ours.toFixed(6)}, scikit-learn's ${other!.toFixed(6)}   (aim: equal)`);
    }
    if (late.quality.rows !== known.length || delays.quality.rows !== known.length) wrong++;
    const again = await reopened(config);
    const isSame = JSON.stringify(again.map(strip)) === JSON.stringify(reports.map(strip));
    if (!isSame) wrong++;
    console.log(`  after a restart: ${isSame ? "the same" : "DIFFERENT"}   (aim: the same)`);
    breakModel(
      known
        .toSorted((a, b) => a.flight.knownAt! - b.flight.knownAt!)
        .map(({ flight, score }) => ({ label: Number(flight.late), answer: score, weight: 1 })),
    );
    console.log(`wrong: ${wrong}   (must be 0)`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  if (wrong > 0) process.exitCode = 1;
}

async function predictAll(
  config: ResolvedConfig,
  flights: readonly Flight[],
  end: number,
): Promise<{ readonly predicted: readonly Predicted[]; readonly reports: readonly OutcomeReport[] }> {
  await using platform = await openPlatform(config, { log: pino({ level: "warn" }) });
  await platform.ready();
  const predicted: Predicted[] = [];
  for (const [time, due] of Map.groupBy(flights, (flight) => flight.time)) {
    await platform.worker.advanceTo(time);
    const at = { asOf: time, exact: true };
    const [late, guesses] = await Promise.all([
      platform.models.predict("flight_delay", { rows: due.map(({ lookup }) => lookup), ...at }),
      platform.models.predict("delay_guess", { rows: due.map(({ lookup }) => guessed(lookup)), ...at }),
    ]);
    for (const [i, flight] of due.entries()) {
      const score = late.predictions[i]!.probability as number;
      predicted.push({ flight, score, guess: guesses.predictions[i]!.minutes as number });
    }
  }
  await platform.worker.advanceTo(end);
  return { predicted, reports: await complete(platform, predicted.length) };
}

/** What the guess is looked up by. */
function guessed({ origin, carrier, route, tail_number, prediction_time }: Flight["lookup"]): Flight["lookup"] {
  return { origin, carrier, route, tail_number, prediction_time };
}

/** Once the log holds all predictions. */
async function complete(platform: Platform, predictions: number): Promise<readonly OutcomeReport[]> {
  for (let attempt = 0; ; attempt++) {
    const reports = await platform.worker.outcomes(null);
    const counted = reports.map(({ waiting, windows }) => {
      const { quality, unmatched, unscored } = windows.at(-1)!;
      return waiting + quality.rows + unmatched + unscored;
    });
    if (attempt === 100 || counted.every((count) => count >= predictions)) return reports;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

async function reopened(config: ResolvedConfig): Promise<readonly OutcomeReport[]> {
  await using platform = await openPlatform(config, { log: pino({ level: "warn" }) });
  await platform.ready();
  return await platform.worker.outcomes(null);
}

function strip({ outcome, waiting, windows }: OutcomeReport): object {
  return { outcome, waiting, windows };
}

function qualityOf(reports: readonly OutcomeReport[], name: string): OutcomeReport["windows"][number] {
  return reports.find(({ outcome }) => outcome === name)!.windows.at(-1)!;
}

function scikitLearn(known: readonly Predicted[]): readonly number[] {
  const python = join(pythonEnvironment(["scikit-learn==1.9.1", "scipy==1.17.1", "numpy==2.4.6"]), "python");
  const input = JSON.stringify([
    known.map(({ flight }) => Number(flight.late)),
    known.map(({ score }) => score),
    known.map(({ flight }) => flight.delayMinutes),
    known.map(({ guess }) => guess),
  ]);
  const { stdout, stderr } = spawnSync(python, ["-c", SCRIPT], { input, encoding: "utf8", maxBuffer: 2 ** 26 });
  if (stdout === "") throw new TypeError(stderr);
  return JSON.parse(stdout) as number[];
}

/** How many predictions with an outcome it takes until a broken model counts as degraded, and false alarms before. */
function breakModel(pairs: readonly OutcomePair[]): void {
  const positives = pairs.filter(({ label }) => label === 1).length / pairs.length;
  let looks = 0;
  let alarms = 0;
  for (let end = RECENT; end <= pairs.length; end += LOOK_EVERY) {
    looks++;
    if (isBroken(pairs.slice(end - RECENT, end))) alarms++;
  }
  console.log(
    `bound: AUC at least ${BOUND.auc}; ${(positives * 100).toFixed(0)}% late; the model as it is: ${alarms} alarms in ${looks} looks   (aim: 0)`,
  );
  let state = 5;
  const random = (): number => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const faults: readonly (readonly [string, (pair: OutcomePair) => number])[] = [
    ["answers the opposite", ({ answer }) => 1 - (answer as number)],
    ["answers at random", () => random()],
    ["answers one number", () => 0.5],
  ];
  const trials = 20;
  for (const [what, broken] of faults) {
    const found: number[] = [];
    for (let trial = 0; trial < trials; trial++) {
      const from = RECENT + Math.floor((trial / trials) * Math.max(0, pairs.length - 4 * RECENT));
      const after = pairs.slice(from).map((pair) => ({ ...pair, answer: broken(pair) }));
      const all = [...pairs.slice(from - RECENT, from), ...after];
      let events = LOOK_EVERY;
      while (events <= after.length && !isBroken(all.slice(events, events + RECENT))) events += LOOK_EVERY;
      found.push(events <= after.length ? events : Infinity);
    }
    found.sort((a, b) => a - b);
    console.log(
      `  ${what}: noticed after ${found[trials / 2]} outcomes (median), ${found.at(-1)} at most, of ${trials} trials`,
    );
  }
}

function isBroken(pairs: readonly OutcomePair[]): boolean {
  return brokenBounds(BOUND, outcomeQuality("binary", pairs))[0]!.broken;
}
