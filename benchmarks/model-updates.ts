import { setPriority } from "node:os";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { type MillraceProcess, millraceProcess } from "../integration/services/millrace-process.ts";
import { type MlflowServer, startMlflow } from "../integration/services/mlflow-server.ts";
import { MillraceError } from "../src/definitions/errors.ts";
import { modelFiles, type WrittenModel } from "../test/api/models/write-model.ts";
import { httpLoad } from "./http-load.ts";
import { type LoadedRequest, monotonicMs, openLoad } from "./open-load.ts";
import { processUsage, waitedForCore } from "./process-usage.ts";

export interface ModelUpdatesOptions {
  readonly updates: number;
  readonly broken: number;
  /** How large the models are, beside what they answer. */
  readonly ballast: { readonly trees: number; readonly depth: number };
  /** Requests per second; default: half of what the server can do. */
  readonly perSecond?: number;
  /** How long each version is watched, milliseconds. */
  readonly watchMs: number;
  readonly seed: number;
  readonly onUpdate?: (what: string) => void;
}

export interface ModelUpdatesResult {
  /** Requests per second that the server can do with 16 connections. */
  readonly capacity: number;
  readonly perSecond: number;
  readonly modelBytes: number;
  readonly requests: number;
  readonly failed: number;
  readonly failures: readonly string[];
  /** Answers of another version than the one that served when the request was sent. */
  readonly wrongVersion: number;
  /** Answers whose value is not that of the version that they name. */
  readonly wrongValue: number;
  readonly versionsThatAnswered: number;
  readonly refused: Readonly<Record<string, number>>;
  /** Resident memory of the server after a tenth of the updates, after half, and after all; MiB. */
  readonly memory: readonly number[];
  /** How long a task waited for the server's event loop while versions were exchanged: at most so long, seconds. */
  readonly loopLag: { readonly p99: number; readonly largest: number };
  /** The share of that time in which the serving thread had work and no core. */
  readonly starved: number;
  /** From moving the alias to the new version serving, milliseconds. */
  readonly swap: Spread;
  /** Of requests while nothing changed, and while versions were exchanged, from when they were due; milliseconds. */
  readonly quiet: Spread;
  readonly during: Spread;
}

export interface Spread {
  readonly p50: number;
  readonly p99: number;
  readonly largest: number;
}

const CONFIG = fileURLToPath(new URL("../integration/mlflow/millrace.config.ts", import.meta.url));
const COLUMNS = ["n", "spend", "amount"];
const TOKEN = "administrator-of-this-run";
const SECRET = "webhook-secret-of-this-run";
const DEADLINE_MS = 60_000;
/** Of MLflow and of what registers versions, which have machines of their own where models are served. */
const ASIDE = 10;
const BROKEN = ["corrupt file", "wrong signature", "crash in warm-up"] as const;

/**
 * Moves an alias of a real MLflow from version to version while requests come at a constant rate; some versions are
 * broken. The answers say which version gave them, by name and by value.
 */
export async function modelUpdates(options: ModelUpdatesOptions): Promise<ModelUpdatesResult> {
  const { updates, broken, ballast, watchMs, seed } = options;
  await using mlflow = await startMlflow(options.perSecond === undefined ? { niceness: ASIDE } : {});
  const name = "risk";
  const files = (answer: number, more: Partial<WrittenModel> = {}): Record<string, string> =>
    modelFiles({
      answer,
      features: COLUMNS,
      ballast,
      example: { columns: COLUMNS, data: [[1, 2, 3]] },
      ...more,
    });
  const first = files(1);
  await mlflow.setAlias(name, "champion", await mlflow.register(name, first));
  await using millrace = await millraceProcess(CONFIG, {
    MILLRACE_MLFLOW_URL: mlflow.url,
    MILLRACE_MLFLOW_WEBHOOK_SECRET: SECRET,
    MILLRACE_ADMIN_TOKEN: TOKEN,
    MILLRACE_LOG_LEVEL: "silent",
  });
  await mlflow.ask("POST", "/api/2.0/mlflow/webhooks", {
    name: "millrace",
    url: `${millrace.url}/v1/webhooks/mlflow`,
    events: [{ entity: "MODEL_VERSION_ALIAS", action: "CREATED" }],
    secret: SECRET,
  });
  const target = `${millrace.url}/v1/models/risk/predict`;
  const body = JSON.stringify({ rows: [{ card_id: "c1", amount: 12.5 }] });
  await waitFor(millrace, (model) => model.serving?.version === "1");
  await httpLoad(target, [body], 16, 2);
  const measured = options.perSecond === undefined ? await httpLoad(target, [body], 16, 4) : null;
  const capacity = measured === null ? 0 : measured.requests / measured.seconds;
  const perSecond = options.perSecond ?? Math.floor(capacity / 2);

  const load = openLoad({ url: target, body, perSecond, connections: 256 });
  // The load's thread has the priority that this one had when it started it; on Linux each thread has its own.
  if (process.platform === "linux" && options.perSecond === undefined) setPriority(ASIDE);
  const quiet: LoadedRequest[] = [];
  const during: LoadedRequest[] = [];
  /** Within these times, of `monotonicMs`, this version alone may answer what is sent. */
  const spans: { readonly version: string; readonly from: number; to: number }[] = [];
  const swaps: number[] = [];
  const refused: Record<string, number> = {};
  const resident = (): number => processUsage([millrace.pid]).residentMiB;
  const memory: number[] = [];
  let lagBefore = await loopLag(millrace);
  let [began, waited] = [monotonicMs(), waitedForCore(millrace.pid)];
  try {
    await pause(Math.max(1_000, watchMs * 10));
    lagBefore = await loopLag(millrace);
    [began, waited] = [monotonicMs(), waitedForCore(millrace.pid)];
    append(quiet, load.take());
    spans.push({ version: "1", from: 0, to: Number.POSITIVE_INFINITY });
    const isBroken = brokenOnes(updates, broken, seed);
    for (let update = 0; update < updates; update++) {
      const kind = isBroken[update] ? BROKEN[update % BROKEN.length]! : "good";
      const version = await register(mlflow, name, files, update + 2, kind);
      if (version !== String(update + 2)) throw failure(`MLflow numbered version ${update + 2} as ${version}`);
      const movedAt = monotonicMs();
      if (kind === "good") spans.at(-1)!.to = movedAt;
      await mlflow.setAlias(name, "champion", version);
      if (kind === "good") {
        await waitFor(millrace, (model) => model.serving?.version === version);
        swaps.push(monotonicMs() - movedAt);
        spans.push({ version, from: monotonicMs(), to: Number.POSITIVE_INFINITY });
      } else {
        const { last_failure: why } = await waitFor(millrace, (model) => model.last_failure?.version === version);
        refused[`${kind}: ${why?.code}`] = (refused[`${kind}: ${why?.code}`] ?? 0) + 1;
      }
      if (update + 1 === Math.ceil(updates / 10) || update + 1 === Math.ceil(updates / 2)) memory.push(resident());
      options.onUpdate?.(`version ${version}, ${kind}`);
      await pause(watchMs);
      append(during, load.take());
    }
  } finally {
    await load.stop();
  }
  append(during, load.take());
  return judge(quiet, during, spans, {
    capacity,
    perSecond,
    modelBytes: first["model.json"]!.length,
    swaps,
    refused,
    memory: [...memory, resident()],
    starved: (1_000 * (waitedForCore(millrace.pid) - waited)) / (monotonicMs() - began),
    loopLag: spreadOfLag(lagBefore, await loopLag(millrace)),
  });
}

/** One by one: as arguments of one call they may be too many. */
function append(all: LoadedRequest[], more: readonly LoadedRequest[]): void {
  for (const one of more) all.push(one);
}

async function register(
  mlflow: MlflowServer,
  name: string,
  files: (answer: number, more?: Partial<WrittenModel>) => Record<string, string>,
  answer: number,
  kind: "good" | (typeof BROKEN)[number],
): Promise<string> {
  const more: Partial<WrittenModel> =
    kind === "wrong signature"
      ? { features: [...COLUMNS, "age"], example: { columns: [...COLUMNS, "age"], data: [[1, 2, 3, 4]] } }
      : kind === "crash in warm-up"
        ? { example: { columns: COLUMNS, data: [["not", "a", "number"]] } }
        : {};
  const made = files(answer, more);
  if (kind === "corrupt file") made["model.json"] = made["model.json"]!.slice(0, made["model.json"]!.length / 2);
  return mlflow.register(name, made);
}

interface ModelState {
  readonly serving: { readonly version: string } | null;
  readonly last_failure: { readonly version: string; readonly code: string } | null;
}

async function waitFor(millrace: MillraceProcess, isSo: (model: ModelState) => boolean): Promise<ModelState> {
  const until = Date.now() + DEADLINE_MS;
  for (;;) {
    const model = (await (await fetch(`${millrace.url}/v1/models/risk`)).json()) as ModelState;
    if (isSo(model)) return model;
    if (Date.now() > until) throw failure(`the model did not get there: ${JSON.stringify(model)}`);
    await pause(10);
  }
}

/** By upper bound in seconds, how many tasks waited no longer for the loop that serves. */
async function loopLag({ url }: MillraceProcess): Promise<ReadonlyMap<number, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const bucket =
    /^millrace_thread_event_loop_lag_seconds_bucket\{(?=[^}]*thread="main")[^}]*le="([^"]+)"[^}]*\} (\S+)/gm;
  return new Map(
    [...text.matchAll(bucket)].map(([, bound, count]) => [Number(bound!.replace("+Inf", "Infinity")), Number(count)]),
  );
}

function spreadOfLag(
  before: ReadonlyMap<number, number>,
  after: ReadonlyMap<number, number>,
): ModelUpdatesResult["loopLag"] {
  const counts = [...after].map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)] as const);
  const all = counts.at(-1)?.[1] ?? Number.NaN;
  const at = (share: number): number => counts.find(([, count]) => count >= share * all)?.[0] ?? Number.NaN;
  return { p99: at(0.99), largest: at(1) };
}

/** Which updates are broken: spread by chance, never the first. */
function brokenOnes(updates: number, broken: number, seed: number): boolean[] {
  const order = Array.from({ length: updates - 1 }, (_, i) => i + 1);
  let state = seed;
  for (let i = order.length - 1; i > 0; i--) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const other = state % (i + 1);
    [order[i], order[other]] = [order[other]!, order[i]!];
  }
  const chosen = new Set(order.slice(0, broken));
  return Array.from({ length: updates }, (_, i) => chosen.has(i));
}

function judge(
  quiet: readonly LoadedRequest[],
  during: readonly LoadedRequest[],
  spans: readonly { readonly version: string; readonly from: number; readonly to: number }[],
  facts: {
    readonly capacity: number;
    readonly perSecond: number;
    readonly modelBytes: number;
    readonly swaps: readonly number[];
    readonly refused: Readonly<Record<string, number>>;
    readonly memory: readonly number[];
    readonly loopLag: ModelUpdatesResult["loopLag"];
    readonly starved: number;
  },
): ModelUpdatesResult {
  const all = [...quiet, ...during].sort((a, b) => a.sent - b.sent);
  const failures = new Set<string>();
  const answered = new Set<string>();
  let [failed, wrongVersion, wrongValue, span] = [0, 0, 0, 0];
  for (const { sent, status, body } of all) {
    if (status !== 200) {
      failed++;
      if (failures.size < 5) failures.add(`${status}: ${body.slice(0, 200)}`);
      continue;
    }
    const answer = JSON.parse(body) as { version: string; predictions: readonly { probability: number }[] };
    answered.add(answer.version);
    if (String(answer.predictions[0]?.probability) !== answer.version) wrongValue++;
    while (span + 1 < spans.length && spans[span + 1]!.from <= sent) span++;
    const { version, to } = spans[span]!;
    // Between the alias' move and the swap both may answer.
    const allowed = sent < to ? [version] : [version, spans[span + 1]?.version];
    if (!allowed.includes(answer.version)) wrongVersion++;
  }
  const { swaps, ...rest } = facts;
  return {
    ...rest,
    requests: all.length,
    failed,
    failures: [...failures],
    wrongVersion,
    wrongValue,
    versionsThatAnswered: answered.size,
    swap: spreadOf(swaps),
    quiet: spreadOf(quiet.map(({ due, received }) => received - due)),
    during: spreadOf(during.map(({ due, received }) => received - due)),
  };
}

function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99), largest: at(1) };
}

function failure(message: string): Error {
  return new MillraceError("TOOL_FAILED", message, { kind: "operational" });
}
