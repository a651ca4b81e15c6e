import { readFile } from "node:fs/promises";
import { millraceError } from "../definitions/errors.ts";
import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { BeamFitJob } from "../feature_engineering/beam/beam-fit-job.ts";
import { jobScript } from "../feature_engineering/beam/job-script.ts";
import type { FitLine, FitProblem } from "../feature_engineering/beam/script/fit-settings.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { compilePlan, planText } from "../feature_engineering/plan/plan.ts";
import { profileBuilder, profileStep } from "../feature_engineering/profiles/profile-builder.ts";
import type { ServiceProfile, ValueProfile } from "../feature_engineering/profiles/value-profile.ts";
import type { FittedState, FittedTransform } from "../feature_engineering/transforms/fitted-state.ts";
import type { Knowledge } from "../feature_store/historical-reader.ts";
import type { ServiceRuntime } from "../feature_store/service-runtime.ts";
import { type TrainingManifest, trainingManifest } from "../feature_store/training-set.ts";
import type { BeamFiles } from "./beam-files.ts";
import type { BeamFitFrame } from "./beam-fit-frame.ts";

export interface BeamFitOptions {
  readonly service: FeatureServiceMeta;
  readonly frame: BeamFitFrame;
  /** By source: the files with its history. */
  readonly history: ReadonlyMap<string, BeamFiles>;
  readonly knowledge: Knowledge;
  /** Whether the manifest is to hold how features were distributed. */
  readonly profile: boolean;
  /** The file that the job writes, which `fitManifest` reads. */
  readonly result: string;
  readonly engine?: "v8" | "graal";
  readonly script: string;
  /** Default 128 MiB. */
  readonly mostBytes?: number;
}

/** How many bytes of an entity's events and rows a worker takes at once, if nothing else is said. */
const MOST_BYTES = 128 * 2 ** 20;

/** Makes the job file that fits a service. @throws `BEAM_FUNCTION_UNSUPPORTED` */
export function beamFitJob(options: BeamFitOptions): BeamFitJob {
  const { service, frame, history, knowledge } = options;
  const plan = compilePlan(declarationsOf(service));
  return {
    id: crypto.randomUUID(),
    engine: options.engine ?? "v8",
    script: jobScript(options.script, plan),
    plan: planText(plan),
    settings: {
      generation: 0,
      sources: [...history].map(([name, { cells, nulls }]) => {
        return { name, from: null, until: null, history: false, cells, nulls };
      }),
      fit: {
        service: service.name,
        lookup: service.lookup.map(({ name }) => name),
        knowledge,
        rows: frame.rows,
        first: frame.first,
        last: frame.last,
        profileEvery: options.profile ? profileStep(frame.rows) : null,
      },
    },
    sources: [...[...history.values()].map(({ input }) => input), { files: frame.files }],
    fit: {
      result: options.result,
      most_bytes: options.mostBytes ?? MOST_BYTES,
    },
  };
}

/** What a service needs, and nothing else: other functions need not run in the workers. */
function declarationsOf(service: FeatureServiceMeta): Declarations {
  const { views } = service;
  return {
    entities: [...new Map(views.map(({ entity }) => [entity.name, entity])).values()],
    sources: [...new Map(views.map(({ source }) => [source.name, source])).values()],
    views,
    services: [service],
    models: [],
  };
}

interface FitResult extends Pick<BeamFitOptions, "frame" | "knowledge" | "profile"> {
  /** Null: no job was needed. */
  readonly result: string | null;
}

/** What travels with a model, of the lines that a job wrote. @throws what kept it from fitting, by its own code */
export async function fitManifest(
  runtime: ServiceRuntime,
  { frame, knowledge, profile, result }: FitResult,
): Promise<TrainingManifest> {
  const text = result === null ? "" : await readFile(result, "utf8");
  const lines = text.split("\n").filter((line) => line !== "" && line !== "{}");
  return manifestOf(
    runtime,
    { rows: frame.rows, knowledge, profile },
    lines.map((line) => JSON.parse(line) as FitLine),
  );
}

export function manifestOf(
  runtime: ServiceRuntime,
  options: { readonly rows: number; readonly knowledge: Knowledge; readonly profile: boolean },
  lines: readonly FitLine[],
): TrainingManifest {
  const problems = lines.flatMap((line) => ("problem" in line ? [line.problem] : []));
  if (problems.length > 0) throw problemOf(problems);
  const manifest = trainingManifest(runtime, fittedOf(runtime, lines), options.knowledge, options.rows);
  return options.profile ? { ...manifest, profile: profileOf(runtime, lines) } : manifest;
}

/** In the order in which a training set writes them. */
function fittedOf({ row, service, hash }: ServiceRuntime, lines: readonly FitLine[]): FittedState {
  const fitted = new Map(lines.flatMap((line) => ("fit" in line ? [[line.fit, line.transform] as const] : [])));
  const inOrder = [...row.fits.keys()].sort((a, b) => row.fits[a]!.pass - row.fits[b]!.pass || a - b);
  const transforms = inOrder.map((fit): readonly [string, FittedTransform] => {
    const transform = fitted.get(fit);
    if (transform !== undefined && transform !== null) return [row.fits[fit]!.id, transform];
    throw millraceError("BEAM_FIT_INCOMPLETE", `The Beam job left nothing of the transform '${row.fits[fit]!.id}'.`, {
      kind: "bug",
    });
  });
  return { service: service.name, service_hash: hash, transforms: Object.fromEntries(transforms) };
}

function profileOf({ row }: ServiceRuntime, lines: readonly FitLine[]): ServiceProfile {
  const profiles = new Map(
    lines.flatMap((line) => ("column" in line ? [[line.column, line.profile as ValueProfile] as const] : [])),
  );
  const entries = row.columns.flatMap(({ name, type }, column) => {
    const empty = profileBuilder(type);
    return empty === null ? [] : [[name, profiles.get(column) ?? empty.finish()] as const];
  });
  return { version: 1, features: Object.fromEntries(entries) };
}

/** The one to be told first: that rows are not whole follows from others. */
function problemOf(problems: readonly FitProblem[]): Error {
  const isTorn = ({ code }: FitProblem): number => (code === "BEAM_FIT_INCOMPLETE" ? 1 : 0);
  const [{ code, message }] = [...problems].sort(
    (a, b) => isTorn(a) - isTorn(b) || (a.message < b.message ? -1 : 1),
  ) as [FitProblem];
  return millraceError(code, message, { kind: code === "BEAM_FIT_INCOMPLETE" ? "bug" : "user" });
}
