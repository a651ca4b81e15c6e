import { channel } from "node:diagnostics_channel";
import { globSync, statSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { ResolvedConfig } from "../config/config.ts";
import { deadLetterThresholdOf } from "../config/dead-letter-config.ts";
import { loadDeclarations } from "../config/load-declarations.ts";
import { isMillraceError, millraceError } from "../definitions/errors.ts";
import type { SourceMeta } from "../definitions/source.ts";
import { beamHost } from "../feature_engineering/beam/beam-host.ts";
import type { BeamJob } from "../feature_engineering/beam/beam-job.ts";
import { BEAM_PROGRESS_CHANNEL, type BeamProgressEvent } from "../feature_engineering/beam/channels.ts";
import { type BeamProgress, runBeamJob, type StoppedSource } from "../feature_engineering/beam/run-beam-job.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { tooManyDeadLetters } from "../ingestion/too-many-dead-letters.ts";
import { createMetrics } from "../monitoring/metrics.ts";
import { type BeamGeneration, writeGeneration } from "../pipeline/beam-generations.ts";
import { type BeamJobSource, beamJob, prepareHistory } from "../pipeline/beam-jobs.ts";
import { beamParts } from "../pipeline/beam-streams.ts";
import { openOfflineStore, openOnlineStore } from "../pipeline/stores.ts";
import { claimForBeam } from "../pipeline/view-writers.ts";
import { configOf, type GlobalOptions, print } from "./global-options.ts";
import { serveMetrics } from "./serve-metrics.ts";

export interface LaunchOptions extends GlobalOptions {
  readonly source?: string;
  /** Where to answer scrapes: a port, or host:port. */
  readonly metrics?: string;
}

/** A source of Beam's with the stores that its jobs write. */
export interface BeamProject {
  readonly config: ResolvedConfig;
  readonly declarations: Declarations;
  readonly source: SourceMeta;
  readonly store: OfflineStore;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens the project's stores. @throws `OPTION_INVALID`, `SOURCE_UNKNOWN` */
export async function openBeamProject(options: LaunchOptions): Promise<BeamProject> {
  const config = await configOf(options);
  const declarations = await loadDeclarations(config.declarations);
  const [only, more] = config.beam.sources;
  const name = options.source ?? (more === undefined ? only : undefined);
  if (name === undefined || !config.beam.sources.includes(name)) {
    throw millraceError(
      "OPTION_INVALID",
      `--source must be one of beam.sources in the configuration: ${config.beam.sources.join(", ") || "there is none"}.`,
    );
  }
  const source = sourceNamed(declarations, name);
  const store = await openOfflineStore(config);
  return { config, declarations, source, store, [Symbol.asyncDispose]: () => store.close() };
}

/** A declared source. @throws `SOURCE_UNKNOWN` */
export function sourceNamed({ sources }: Declarations, name: string): SourceMeta {
  const source = sources.find((one) => one.name === name);
  if (source !== undefined) return source;
  const names = sources.map((one) => one.name).join(", ");
  throw millraceError(
    "SOURCE_UNKNOWN",
    `There is no source '${name}' in the declarations, which have ${names || "none"}.`,
  );
}

/** Runs a job to its end, or until SIGINT or SIGTERM; a second one ends the launcher, and with it an embedded job. */
export async function launchBeam(
  { config, declarations, source, store }: BeamProject,
  options: LaunchOptions,
  generation: BeamGeneration,
  jobSource: BeamJobSource,
  beamOptions: readonly string[],
  /** It does not go on from a savepoint or a checkpoint. */
  anew: boolean,
): Promise<void> {
  const { engine = "v8", heapMegabytes } = config.beam;
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const sources = [jobSource];
  const views = declarations.views.filter((view) => view.source.name === source.name);
  const jobOf = (script: string): BeamJob =>
    beamJob({
      declarations,
      ...{ online: config.online, offline: config.offline, sources, engine },
      generation: generation.generation,
      ...{ script, anew, deadLetters: config.deadLetters },
      ...(config.beam.parquet === undefined ? {} : { parquet: config.beam.parquet }),
      ...(config.connections.schemaRegistry === undefined ? {} : { schemaRegistry: config.connections.schemaRegistry }),
    });
  // What is wrong is said before the host is built.
  jobOf("");
  await using online = await openOnlineStore(config);
  const host = await beamHost({
    onBuild: say,
    parts: [...(engine === "graal" ? ["graal"] : []), ...beamParts(sources, config.beam.parquet)],
  });
  const job = jobOf(host.script);
  await claimForBeam(online, views);
  await prepareHistory({ declarations, sources }, store);
  const folder = stateOf(config, source);
  if (folder.startsWith("file:")) await mkdir(new URL(folder), { recursive: true });
  await using stack = new AsyncDisposableStack();
  const metrics = stack.use(createMetrics({ thread: "beam", label: "beam" }));
  if (options.metrics !== undefined) {
    const server = await serveMetrics(options.metrics, metrics);
    stack.defer(() => server.close());
    say(`Metrics at ${server.url}`);
  }
  const recorded = await recordCheckpoints(store, source.name, generation, folder, anew);
  const show = showProgress(source.name);
  const sayRestart = restartSayer(source.name, say);
  const running = await runBeamJob(host, job, {
    options: beamOptions,
    ...(heapMegabytes === undefined ? {} : { heapMegabytes }),
    onProgress: (progress) => {
      show(progress);
      sayRestart(progress);
      recorded.look();
      publish(source.name, progress, folder);
    },
  });
  const stop = (): void => {
    say(`Stopping ${source.name}${generation.kind === "stream" ? " with a savepoint" : ""}.`);
    running.stop(generation.kind === "stream" ? folder : null);
  };
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const end = await running.ended;
    const state = end.state === "done" ? "done" : "stopped";
    await writeGeneration(store, source.name, {
      ...(await recorded.last()),
      state,
      savepoint: end.savepoint ?? generation.savepoint,
    });
    print(options, { source: source.name, generation: generation.generation, ...end }, () => summary(source.name, end));
  } catch (error) {
    throw withThreshold(error, config);
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

/** How often it is said that a job still fails for the same reason. */
const SAID_AGAIN_MS = 60_000;

/** Says why a job begins again: it may do so every second for as long as a store is away. */
function restartSayer(source: string, say: (text: string) => void): (progress: BeamProgress) => void {
  let before = "";
  let said = { cause: "", at: 0 };
  return ({ state, cause = "" }) => {
    const now = performance.now();
    if (state === "restarting" && before !== state && (cause !== said.cause || now - said.at > SAID_AGAIN_MS)) {
      said = { cause, at: now };
      say(`${source}: the job failed and begins again from its last checkpoint: ${cause}`);
    }
    before = state;
  };
}

/**
 * Records that a generation runs, and once there is a checkpoint that there was one: what a later run must know that
 * finds none.
 */
async function recordCheckpoints(
  store: OfflineStore,
  source: string,
  generation: BeamGeneration,
  folder: string,
  anew: boolean,
): Promise<{ look(): void; last(): Promise<BeamGeneration> }> {
  const isSeen = generation.kind === "stream" && folder.startsWith("file:");
  let known: BeamGeneration = { ...generation, state: "running" };
  if (isSeen && anew) known = { ...known, checkpointed: false };
  await writeGeneration(store, source, known);
  let writing: Promise<void> | null = null;
  return {
    look() {
      if (known.checkpointed !== false || writing !== null || checkpointsIn(folder).length === 0) return;
      const next = { ...known, checkpointed: true };
      writing = writeGeneration(store, source, next).then(
        () => {
          known = next;
          writing = null;
        },
        // The store may be away for a while: at the next look.
        () => {
          writing = null;
        },
      );
    },
    async last() {
      await writing;
      return known.checkpointed === false && checkpointsIn(folder).length > 0
        ? { ...known, checkpointed: true }
        : known;
    },
  };
}

/** In the embedded engine's words. */
function withThreshold(error: unknown, config: ResolvedConfig): unknown {
  if (!isMillraceError(error) || error.code !== "DEAD_LETTER_THRESHOLD") return error;
  const { source, bad, reasons } = error.details as unknown as StoppedSource;
  return tooManyDeadLetters(source, deadLetterThresholdOf(config.deadLetters, source), bad, reasons);
}

const progressed = channel(BEAM_PROGRESS_CHANNEL);

function publish(source: string, { state, counters, levels }: BeamProgress, folder: string): void {
  progressed.publish({
    source,
    running: state === "running",
    counters: counters[source] ?? {},
    newestEventTime: levels?.[source]?.newest_event_ms ?? null,
    watermark: levels?.[source]?.watermark_ms ?? null,
    backlog: levels?.[source]?.backlog_messages ?? null,
    checkpointAt: checkpointsIn(folder)[0]?.time ?? null,
  } satisfies BeamProgressEvent);
}

const EVERY_MS = 10_000;

/** On a terminal the newest figures; else a line when something has changed, now and then. */
function showProgress(source: string): (progress: BeamProgress) => void {
  if (process.stderr.isTTY === true) {
    return (progress) => void process.stderr.write(`\r${summary(source, progress)}   `);
  }
  let shown = "";
  let next = 0;
  return (progress) => {
    const text = summary(source, progress);
    if (text === shown || performance.now() < next) return;
    shown = text;
    next = performance.now() + EVERY_MS;
    process.stderr.write(`${text}\n`);
  };
}

function summary(source: string, { state, counters, savepoint }: BeamProgress): string {
  const own = counters[source] ?? {};
  const figures = ["events", "dead_letters", "duplicates", "tiles", "writes"].map(
    (name) => `${own[name] ?? 0} ${name.replace("_", " ")}`,
  );
  return `${source}: ${state}, ${figures.join(", ")}${savepoint === undefined ? "" : `; goes on from ${savepoint}`}`;
}

/** The URL of the folder with a source's checkpoints. */
export function stateOf(config: ResolvedConfig, source: SourceMeta): string {
  const state = config.beam.state ?? join(config.data, "beam");
  if (/^[a-z][a-z0-9+.-]*:\/\//.test(state)) return `${state.replace(/\/$/, "")}/${source.name}`;
  return pathToFileURL(resolve(state, source.name)).href;
}

/**
 * Renames a folder of checkpoints, so that no later run goes on from those that a replay has made useless. One that this
 * machine does not see stays as it is.
 */
export async function setStateAside(folder: string): Promise<void> {
  if (checkpointsIn(folder).length === 0) return;
  const path = new URL(folder).pathname;
  await rename(path, `${path}-replaced-${new Date().toISOString().replaceAll(/[-:]|\.\d+/g, "")}`);
}

/** Savepoints and whole checkpoints, the newest first; none where the folder cannot be looked into. */
export function checkpointsIn(folder: string): readonly { readonly url: string; readonly time: number }[] {
  if (!folder.startsWith("file:")) return [];
  const path = new URL(folder).pathname;
  return globSync("{savepoint-*,*/chk-*}/_metadata", { cwd: path })
    .flatMap((file) => {
      // One that is removed meanwhile is none.
      const found = statSync(join(path, file), { throwIfNoEntry: false });
      return found === undefined ? [] : [{ url: pathToFileURL(dirname(join(path, file))).href, time: found.mtimeMs }];
    })
    .sort((a, b) => b.time - a.time);
}
