import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadDeclarations } from "../../config/load-declarations.ts";
import { isMillraceError, millraceError } from "../../definitions/errors.ts";
import { describePipeline } from "../../feature_engineering/beam/describe-pipeline.ts";
import { EMBEDDED_FLINK, flinkStreamOptions } from "../../feature_engineering/beam/flink-options.ts";
import { mergeOptions } from "../../feature_engineering/beam/merge-options.ts";
import { compilePlan } from "../../feature_engineering/plan/plan.ts";
import { readTime } from "../../feature_store/lookup.ts";
import type { KafkaSourceOptions } from "../../ingestion/sources/kafka-options.ts";
import { checkKafkaTopics } from "../../ingestion/sources/kafka-topics.ts";
import { beamFiles } from "../../pipeline/beam-files.ts";
import { type BeamGeneration, generationFor, readGenerations } from "../../pipeline/beam-generations.ts";
import { beamStream } from "../../pipeline/beam-streams.ts";
import { kafkaOptionsOf } from "../../pipeline/source-reader.ts";
import {
  checkpointsIn,
  type LaunchOptions,
  launchBeam,
  openBeamProject,
  setStateAside,
  sourceNamed,
  stateOf,
} from "../beam-launch.ts";
import { configOf, print } from "../global-options.ts";

interface BeamOptions extends LaunchOptions {
  readonly from?: string;
  readonly until?: string;
  readonly files?: readonly string[];
  readonly replay?: boolean;
}

/** Runs a source's views as a stream until it is stopped: SIGINT or SIGTERM end it with a savepoint. */
export async function beamRun(beamOptions: readonly string[], options: BeamOptions): Promise<void> {
  await using project = await openBeamProject(options);
  const { config, source, store } = project;
  const known = await readGenerations(store, source.name);
  const earlier = known.find((one) => one.kind === "stream");
  const from = timeOf("--from", options.from) ?? earlier?.from ?? lastMoment(known);
  const generation = generationFor(known, source.name, { kind: "stream", from, until: null });
  const folder = stateOf(config, source);
  const replay = options.replay === true;
  const named = replay ? null : savepointOf(beamOptions);
  const savepoint = replay ? null : (named ?? checkpointsIn(folder)[0]?.url ?? ifThere(generation.savepoint));
  if (earlier !== undefined && savepoint === null && !replay) {
    if (earlier.checkpointed === false && existsSync(new URL(folder))) {
      process.stderr.write(
        `${source.name}: the job ended before its first checkpoint, and begins again where it began; nothing counts twice.\n`,
      );
    } else throw stateMissing(source.name, folder);
  }
  // What a clock ahead of its time dated after the moment arrived before it.
  const start = from === null ? null : from - source.futureBoundMs;
  const input = beamStream(source, config.connections, start);
  if ("kafka" in input) await checkTopics(kafkaOptionsOf(source, config.connections));
  const own = mergeOptions(
    flinkStreamOptions({ state: folder, savepoint }),
    config.beam.options ?? EMBEDDED_FLINK,
    beamOptions,
  );
  if (replay) await setStateAside(folder);
  await launchBeam(project, options, { ...generation, savepoint }, { source, input, from }, own, savepoint === null);
}

/** Folds files into a source's views, and ends. */
export async function beamBackfill(beamOptions: readonly string[], options: BeamOptions): Promise<void> {
  await using project = await openBeamProject(options);
  const { config, source, store } = project;
  const files = await beamFiles(source, options.files, join(config.data, "beam", "files"));
  const until = timeOf("--until", options.until);
  const from = timeOf("--from", options.from);
  if (from !== null && until !== null && from >= until) {
    throw millraceError(
      "OPTION_INVALID",
      `--from ${options.from} must be before --until ${options.until}: no event is between them.`,
    );
  }
  const known = await readGenerations(store, source.name);
  const contents = files.input.files.map((file) => file.partition);
  const generation = generationFor(known, source.name, { kind: "backfill", from, until, files: contents });
  const own = mergeOptions(["--attachedMode=false"], config.beam.options ?? EMBEDDED_FLINK, beamOptions);
  await launchBeam(project, options, generation, { source, ...files, from, until }, own, true);
}

/** Prints the pipeline of a source. */
export async function beamExplain(options: BeamOptions): Promise<void> {
  const config = await configOf(options);
  const declarations = await loadDeclarations(config.declarations);
  const sources = options.source === undefined ? config.beam.sources : [options.source];
  for (const name of sources) sourceNamed(declarations, name);
  const described = sources.map((name) => describePipeline(compilePlan(declarations), declarations, name));
  print(options, described, () => described.map((one) => one.text).join("\n\n"));
}

function stateMissing(source: string, folder: string): Error {
  const seen = folder.startsWith("file:");
  return millraceError(
    "BEAM_STATE_MISSING",
    seen
      ? `Source '${source}' was streamed before, and neither its savepoint nor a checkpoint is in ${folder}: bring the folder back, or name one with -- --savepointPath=…; else --replay reads the topic again from where that began, which counts nothing twice as long as the topic still has it.`
      : `Source '${source}' was streamed before and was not stopped with a savepoint, and this machine cannot look for a checkpoint in ${folder}: name the newest with -- --savepointPath=${folder}/<job>/chk-<n>; else --replay reads the topic again from where that began, which counts nothing twice as long as the topic still has it.`,
  );
}

const SAVEPOINT = "--savepointPath=";

/** Where a person says that the job is to go on, by Beam's own option. */
function savepointOf(options: readonly string[]): string | null {
  return options.findLast((option) => option.startsWith(SAVEPOINT))?.slice(SAVEPOINT.length) ?? null;
}

/** A missing topic would have the job fail and begin again for ever. */
async function checkTopics(options: KafkaSourceOptions): Promise<void> {
  await checkKafkaTopics(options).catch((error: unknown) => {
    // The workers have a client of their own.
    if (!isMillraceError(error) || error.code !== "PACKAGE_MISSING") throw error;
  });
}

/** Null for a savepoint that was removed from this machine; others cannot be looked for. */
function ifThere(savepoint: string | null): string | null {
  if (savepoint === null || !savepoint.startsWith("file:")) return savepoint;
  return existsSync(new URL(`${savepoint.replace(/\/$/, "")}/_metadata`)) ? savepoint : null;
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
