import { existsSync, statSync } from "node:fs";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { ResolvedConfig } from "../../config/config.ts";
import { loadDeclarations } from "../../config/load-declarations.ts";
import { millraceError } from "../../definitions/errors.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import { beamHost } from "../../feature_engineering/beam/beam-host.ts";
import { EMBEDDED_FLINK } from "../../feature_engineering/beam/flink-options.ts";
import { mergeOptions } from "../../feature_engineering/beam/merge-options.ts";
import { type BeamProgress, runBeamJob } from "../../feature_engineering/beam/run-beam-job.ts";
import type { OfflineStore } from "../../feature_store/offline/offline-store.ts";
import { createServiceRuntime } from "../../feature_store/service-runtime.ts";
import type { TrainingManifest } from "../../feature_store/training-set.ts";
import { createViewRuntime } from "../../feature_store/view-runtime.ts";
import { beamFitJob, fitManifest } from "../../pipeline/beam-fit.ts";
import { type BeamFitFrame, beamFitFrame } from "../../pipeline/beam-fit-frame.ts";
import { beamFitHistory, type FitHistoryPlaces } from "../../pipeline/beam-fit-history.ts";
import { beamFitLog } from "../../pipeline/beam-fit-log.ts";
import { openOfflineStore } from "../../pipeline/stores.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";

interface BeamFitOptions extends GlobalOptions {
  readonly labels: string;
  readonly files?: readonly string[];
  readonly out: string;
  readonly knowledge: "event_time" | "ingested_at";
  readonly profile: boolean;
}

/** Fits a service's transforms on a training frame, in a Beam job that reads history once, and writes the manifest. */
export async function beamFit(name: string, beamOptions: readonly string[], options: BeamFitOptions): Promise<void> {
  const started = performance.now();
  const config = await configOf(options);
  const { services } = await loadDeclarations(config.declarations);
  const service = services.find((one) => one.name === name);
  if (service === undefined) throw serviceUnknown(name, services);
  const runtime = createServiceRuntime(service, (view) =>
    createViewRuntime(service.views.find((one) => one.name === view)!),
  );
  const out = outOf(options.out);
  const home = join(config.data, "beam");
  await mkdir(home, { recursive: true });
  const folder = resolve(await mkdtemp(join(home, "fit-")));
  await using stack = new AsyncDisposableStack();
  stack.defer(() => rm(folder, { recursive: true, force: true }));
  const frame = await beamFitFrame(runtime, options.labels, folder);
  const fits = runtime.row.fits.length;
  const needsJob = fits > 0 || options.profile;
  const files = join(home, "files");
  const places = { parquet: config.beam.parquet, cache: files, ...logOf(config, frame, folder, stack) };
  const history = needsJob ? await beamFitHistory(service, options.files, places) : new Map();
  const job = {
    ...{ service, frame, history, knowledge: options.knowledge, profile: options.profile, script: "" },
    result: join(folder, "result.jsonl"),
  };
  let end: BeamProgress | null = null;
  if (needsJob) {
    const { engine = "v8", heapMegabytes } = config.beam;
    const host = await beamHost({
      onBuild: (what) => void process.stderr.write(`${what}\n`),
      parts: [...(engine === "graal" ? ["graal"] : []), ...(readsParquet(job) ? ["parquet"] : [])],
    });
    const running = await runBeamJob(host, beamFitJob({ ...job, engine, script: host.script }), {
      options: mergeOptions(["--attachedMode=false"], config.beam.options ?? EMBEDDED_FLINK, beamOptions),
      ...(heapMegabytes === undefined ? {} : { heapMegabytes }),
      onProgress: showProgress(),
    });
    const stop = (): void => running.stop(null);
    process.once("SIGINT", stop);
    process.once("SIGTERM", stop);
    stack.defer(() => {
      process.off("SIGINT", stop);
      process.off("SIGTERM", stop);
    });
    end = await running.ended;
    if (end.state !== "done") throw millraceError("ABORTED", `The job was ${end.state}: nothing was fitted.`);
  }
  const manifest = await fitManifest(runtime, { ...job, result: needsJob ? job.result : null });
  await write(out, manifest);
  const seconds = (performance.now() - started) / 1_000;
  const counters = end?.counters ?? {};
  print(options, { service: name, transforms: fits, rows: frame.rows, manifest: out, counters, seconds }, () =>
    [
      fits === 0
        ? `${name} has nothing to fit: none of its transforms learns`
        : `${name}: ${fits} transforms learned from ${frame.rows} rows`,
      ...Object.entries(counters).map(([source, own]) => `${source}: ${figures(own)}`),
      `${out}: what the model's folder must carry`,
      `in ${seconds.toFixed(1)} s`,
    ].join("\n"),
  );
}

/** History of PostgreSQL, which is opened when a source needs it. An embedded cold store may be another process's. */
function logOf(
  config: ResolvedConfig,
  { first, last }: BeamFitFrame,
  folder: string,
  stack: AsyncDisposableStack,
): Pick<FitHistoryPlaces, "log"> {
  if (config.offline.store !== "postgres") return {};
  let opened: Promise<OfflineStore> | null = null;
  return {
    async log(source, views) {
      opened ??= openOfflineStore(config).then((store) => stack.use(store));
      const files = await beamFitLog({ source, views, store: await opened, first, last, folder });
      if (files !== null) process.stderr.write(`${source.name}: history was read from PostgreSQL\n`);
      return files;
    },
  };
}

function serviceUnknown(name: string, services: readonly FeatureServiceMeta[]): Error {
  const known = services.map((service) => service.name).join(", ") || "none";
  return millraceError("SERVICE_UNKNOWN", `There is no feature service '${name}': declared are ${known}.`);
}

/** The file of the manifest; in a folder that is there it is `millrace.json`. */
function outOf(path: string): string {
  const isFolder = path.endsWith("/") || (existsSync(path) && statSync(path).isDirectory());
  return isFolder ? join(path, "millrace.json") : path;
}

function readsParquet({ history }: { readonly history: Awaited<ReturnType<typeof beamFitHistory>> }): boolean {
  return [...history.values()].some(({ input }) => input.files.some((file) => file.format === "parquet"));
}

/** As `millrace training-set` writes it, in one step. */
async function write(path: string, manifest: TrainingManifest): Promise<void> {
  const temporary = `${path}.${process.pid}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(temporary, `${JSON.stringify(manifest, null, 2)}\n`);
    await rename(temporary, path);
  } catch (cause) {
    throw millraceError("FILE_UNWRITABLE", `The file ${path} cannot be written: check its folder.`, { cause });
  } finally {
    await rm(temporary, { force: true });
  }
}

const EVERY_MS = 10_000;

/** On a terminal the newest figures; else a line when something has changed, now and then. */
function showProgress(): (progress: BeamProgress) => void {
  let shown = "";
  let next = 0;
  const isTerminal = process.stderr.isTTY === true;
  return ({ state, counters }) => {
    const text = `${state}, ${Object.entries(counters)
      .map(([source, own]) => `${source}: ${figures(own)}`)
      .join("; ")}`;
    if (text === shown || (!isTerminal && performance.now() < next)) return;
    shown = text;
    next = performance.now() + EVERY_MS;
    process.stderr.write(isTerminal ? `\r${text}   ` : `${text}\n`);
  };
}

function figures(counters: Readonly<Record<string, number>>): string {
  return Object.entries(counters)
    .map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`)
    .join(", ");
}
