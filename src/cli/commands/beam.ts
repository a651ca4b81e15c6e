import { existsSync, globSync, statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { type BeamGeneration, generationFor, readGenerations, writeGeneration } from "../../beam-generations.ts";
import { type BeamJobSource, beamFile, beamJob, beamKafka, beamStream, prepareHistory } from "../../beam-jobs.ts";
import type { ResolvedConfig } from "../../config.ts";
import { millraceError } from "../../definitions/errors.ts";
import type { SourceMeta } from "../../definitions/source.ts";
import { beamHost } from "../../feature_engineering/beam/beam-host.ts";
import { describePipeline } from "../../feature_engineering/beam/describe-pipeline.ts";
import { EMBEDDED_FLINK, flinkStreamOptions } from "../../feature_engineering/beam/flink-options.ts";
import { type BeamProgress, runBeamJob } from "../../feature_engineering/beam/run-beam-job.ts";
import type { Declarations } from "../../feature_engineering/plan/collect-declarations.ts";
import { compilePlan } from "../../feature_engineering/plan/plan.ts";
import { readTime } from "../../feature_store/lookup.ts";
import type { OfflineStore } from "../../feature_store/offline/offline-store.ts";
import { loadDeclarations } from "../../load-declarations.ts";
import { openOfflineStore } from "../../stores.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";

interface BeamOptions extends GlobalOptions {
  readonly source?: string;
  readonly from?: string;
  readonly until?: string;
  readonly files?: readonly string[];
  readonly replay?: boolean;
}

/** Runs a source's views as a stream until it is stopped: SIGINT or SIGTERM end it with a savepoint. */
export async function beamRun(beamOptions: readonly string[], options: BeamOptions): Promise<void> {
  await using project = await open(options);
  const { config, source, store } = project;
  const known = await readGenerations(store, source.name);
  const earlier = known.find((one) => one.kind === "stream");
  const from = timeOf("--from", options.from) ?? earlier?.from ?? lastMoment(known);
  const generation = generationFor(known, source.name, { kind: "stream", from, until: null });
  const folder = stateOf(config, source);
  const savepoint = options.replay === true ? null : newest(folder, generation.savepoint);
  if (earlier !== undefined && savepoint === null && options.replay !== true) {
    throw millraceError(
      "BEAM_STATE_MISSING",
      `Source '${source.name}' was streamed before, and there is neither a savepoint nor a checkpoint in ${folder}: --replay reads the topic again from where that began, which counts nothing twice.`,
    );
  }
  // What a clock ahead of its time dated after the moment arrived before it.
  const start = from === null ? null : from - source.futureBoundMs;
  const kafka = beamKafka(source, config.connections.kafka ?? {}, start);
  const input = { ...beamStream(source), kafka };
  await launch(project, options, generation, { source, input, from }, [
    ...(config.beam.options ?? EMBEDDED_FLINK),
    ...flinkStreamOptions({ state: folder, savepoint }),
    ...beamOptions,
  ]);
}

/** Folds files into a source's views, and ends. */
export async function beamBackfill(beamOptions: readonly string[], options: BeamOptions): Promise<void> {
  await using project = await open(options);
  const { config, source, store } = project;
  const { connector } = source;
  const replayed = connector.connector === "file_replay" ? connector : null;
  const patterns = options.files ?? replayed?.paths;
  if (patterns === undefined) {
    throw millraceError("OPTION_INVALID", "--files says which files hold the source's events, CSV or JSON lines.");
  }
  const files = await Promise.all(filesOf(patterns).map(beamFile));
  const formats = new Set(files.map((file) => file.format));
  if (formats.size > 1) {
    throw millraceError("OPTION_INVALID", "--files are CSV and JSON lines: backfill one format after the other.");
  }
  const until = timeOf("--until", options.until);
  const from = timeOf("--from", options.from);
  const known = await readGenerations(store, source.name);
  const generation = generationFor(known, source.name, { kind: "backfill", from, until });
  const cells = formats.has("csv") ? "text" : "json";
  await launch(
    project,
    options,
    generation,
    { source, input: { files }, cells, nulls: replayed?.nullTexts ?? [], from, until },
    [...(config.beam.options ?? EMBEDDED_FLINK), "--attachedMode=false", ...beamOptions],
  );
}

/** Prints the pipeline of a source. */
export async function beamExplain(options: BeamOptions): Promise<void> {
  const config = await configOf(options);
  const declarations = await loadDeclarations(config.declarations);
  const sources = options.source === undefined ? config.beam.sources : [options.source];
  const described = sources.map((name) => describePipeline(compilePlan(declarations), declarations, name));
  print(options, described, () => described.map((one) => one.text).join("\n\n"));
}

interface Project {
  readonly config: ResolvedConfig;
  readonly declarations: Declarations;
  readonly source: SourceMeta;
  readonly store: OfflineStore;
  [Symbol.asyncDispose](): Promise<void>;
}

async function open(options: BeamOptions): Promise<Project> {
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
  const source = declarations.sources.find((one) => one.name === name);
  if (source === undefined) throw millraceError("SOURCE_UNKNOWN", `There is no source '${name}'.`);
  const store = await openOfflineStore(config);
  return { config, declarations, source, store, [Symbol.asyncDispose]: () => store.close() };
}

async function launch(
  { config, declarations, source, store }: Project,
  options: BeamOptions,
  generation: BeamGeneration,
  jobSource: BeamJobSource,
  beamOptions: readonly string[],
): Promise<void> {
  const { engine = "v8", heapMegabytes } = config.beam;
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  const host = await beamHost({ onBuild: say, parts: engine === "graal" ? ["graal"] : [] });
  const sources = [jobSource];
  const job = beamJob({
    declarations,
    ...{ online: config.online, offline: config.offline, sources, engine },
    generation: generation.generation,
    script: host.script,
    ...(config.connections.schemaRegistry === undefined ? {} : { schemaRegistry: config.connections.schemaRegistry }),
  });
  await prepareHistory({ declarations, sources }, store);
  const folder = stateOf(config, source);
  if (folder.startsWith("file:")) await mkdir(new URL(folder), { recursive: true });
  await writeGeneration(store, source.name, { ...generation, state: "running" });
  const running = await runBeamJob(host, job, {
    options: beamOptions,
    ...(heapMegabytes === undefined ? {} : { heapMegabytes }),
    onProgress: showProgress(source.name),
  });
  const stop = (): void => running.stop(generation.kind === "stream" ? folder : null);
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    const end = await running.ended;
    const state = end.state === "done" ? "done" : "stopped";
    await writeGeneration(store, source.name, {
      ...generation,
      state,
      savepoint: end.savepoint ?? generation.savepoint,
    });
    print(options, { source: source.name, generation: generation.generation, ...end }, () => summary(source.name, end));
  } finally {
    process.off("SIGINT", stop);
    process.off("SIGTERM", stop);
  }
}

function showProgress(source: string): (progress: BeamProgress) => void {
  if (process.stderr.isTTY !== true) return () => {};
  return (progress) => void process.stderr.write(`\r${summary(source, progress)}   `);
}

function summary(source: string, { state, counters, savepoint }: BeamProgress): string {
  const own = counters[source] ?? {};
  const figures = ["events", "dead_letters", "duplicates", "tiles", "writes"].map(
    (name) => `${own[name] ?? 0} ${name.replace("_", " ")}`,
  );
  return `${source}: ${state}, ${figures.join(", ")}${savepoint === undefined ? "" : `; goes on from ${savepoint}`}`;
}

/** The newest of the savepoint and the retained checkpoints; the savepoint alone where the folder cannot be looked into. */
function newest(folder: string, savepoint: string | null): string | null {
  if (!folder.startsWith("file:")) return savepoint;
  const found = globSync("{savepoint-*,*/chk-*}/_metadata", { cwd: new URL(folder).pathname });
  const paths = found.map((file) => dirname(join(new URL(folder).pathname, file)));
  const latest = paths
    .map((path) => ({ path, time: statSync(join(path, "_metadata")).mtimeMs }))
    .sort((a, b) => b.time - a.time)[0];
  return latest === undefined ? savepoint : pathToFileURL(latest.path).href;
}

/** The URL of the folder with a source's checkpoints. */
function stateOf(config: ResolvedConfig, source: SourceMeta): string {
  const state = config.beam.state ?? join(config.data, "beam");
  if (/^[a-z][a-z0-9+.-]*:\/\//.test(state)) return `${state.replace(/\/$/, "")}/${source.name}`;
  return pathToFileURL(resolve(state, source.name)).href;
}

/** Up to where backfills have brought the source. */
function lastMoment(known: readonly BeamGeneration[]): number | null {
  const ends = known.flatMap((one) => (one.kind === "backfill" && one.until !== null ? [one.until] : []));
  return ends.length === 0 ? null : Math.max(...ends);
}

function timeOf(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const time = readTime(text);
  if (time !== null) return time;
  throw millraceError("TIME_INVALID", `${name} ${text} must be ISO 8601 with a zone, such as 2013-03-01T00:00:00Z.`);
}

function filesOf(patterns: readonly string[]): readonly string[] {
  const found = patterns.flatMap((pattern) => (existsSync(pattern) ? [pattern] : globSync(pattern))).sort();
  if (found.length > 0) return found;
  throw millraceError("FILE_NOT_FOUND", `There is no file ${patterns.join(", ")}.`);
}
