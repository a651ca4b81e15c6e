import { createHash } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isMillraceError, millraceError } from "../definitions/errors.ts";
import type { FittedState } from "../feature_engineering/transforms/fitted-state.ts";
import type { FeatureStore } from "./feature-store.ts";
import type { Knowledge } from "./historical-reader.ts";
import type { FrameFormat } from "./offline/frame-file.ts";
import type { OfflineStore } from "./offline/offline-store.ts";
import { type TrainingProgress, writeTrainingFile } from "./training-file.ts";
import type { TrainingManifest } from "./training-set.ts";

/** What a training set is made of. Equal requests are one job. */
export interface TrainingJobRequest {
  readonly service: string;
  readonly knowledge: Knowledge;
  readonly format: FrameFormat;
  readonly fitted: FittedState | null;
  readonly frame:
    | { readonly kind: "upload"; readonly format: FrameInputFormat; readonly bytes: number; readonly sha256: string }
    /** A query of the cold store, which may only read, and its time limit. */
    | { readonly kind: "sql"; readonly sql: string; readonly timeoutMs: number };
}

export type FrameInputFormat = "csv" | "csv.gz" | "parquet" | "jsonl" | "arrow";

export interface TrainingJobStatus {
  readonly id: string;
  /** `uploading` until all of the frame is there, `interrupted` if the process that ran it ended. */
  readonly state: "uploading" | "running" | "done" | "failed" | "interrupted";
  /** Bytes of the frame that have come. */
  readonly received: number;
  readonly progress: TrainingProgress | null;
  readonly manifest: TrainingManifest | null;
  /** The finished file. */
  readonly path: string | null;
  readonly bytes: number | null;
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly kind: "user" | "operational" | "bug";
  } | null;
}

/**
 * Training sets in the making: each has a folder, in which a run goes on where a killed one was. A type, not an
 * interface: other threads are called by it too.
 */
export type TrainingJobs = {
  /** Makes the job, or finds the one of an equal request; starts it if its frame is there. */
  readonly openTrainingJob: (request: TrainingJobRequest) => Promise<TrainingJobStatus>;
  /** Takes the frame's bytes from `offset` on, which must be what was received; starts the job after the last. */
  readonly appendFrame: (id: string, offset: number, bytes: Uint8Array) => Promise<TrainingJobStatus>;
  /** @throws `TRAINING_SET_UNKNOWN` */
  readonly trainingJob: (id: string) => Promise<TrainingJobStatus>;
  /** Stops the job and removes its files. */
  readonly removeTrainingJob: (id: string) => Promise<void>;
  readonly closeTrainingJobs: () => Promise<void>;
};

interface Job {
  readonly id: string;
  readonly folder: string;
  readonly request: TrainingJobRequest;
  state: TrainingJobStatus["state"];
  received: number;
  progress: TrainingProgress | null;
  manifest: TrainingManifest | null;
  bytes: number | null;
  error: TrainingJobStatus["error"];
  running: Promise<void> | null;
  readonly abort: AbortController;
}

/** Finished and abandoned jobs are kept so long, milliseconds. */
const KEEP_MS = 86_400_000;

export function trainingJobs(options: {
  readonly folder: string;
  /** Of the declarations as they are. */
  readonly store: () => FeatureStore;
  readonly offline: OfflineStore;
}): TrainingJobs {
  const { folder, store, offline } = options;
  const jobs = new Map<string, Job>();
  let swept = false;
  /** One at a time: each takes what memory and threads there are. */
  let turn: Promise<unknown> = Promise.resolve();

  async function openTrainingJob(request: TrainingJobRequest): Promise<TrainingJobStatus> {
    const { hash } = store().service(request.service);
    await sweep();
    const id = createHash("sha256")
      .update(JSON.stringify([hash, request]))
      .digest("hex")
      .slice(0, 32);
    let job = jobs.get(id);
    if (job === undefined) {
      const home = join(folder, id);
      await mkdir(home, { recursive: true });
      await writeFile(join(home, "request.json"), JSON.stringify(request));
      job = await restore(id, home, request);
      jobs.set(id, job);
    }
    if (job.state === "failed" || job.state === "interrupted") job.state = "uploading";
    await startIfReady(job);
    return statusOf(job);
  }

  async function restore(id: string, home: string, request: TrainingJobRequest): Promise<Job> {
    const received = await sizeOf(join(home, frameName(request)));
    const bytes = await sizeOf(join(home, `out.${request.format}`));
    const manifest = await readFile(join(home, "manifest.json"), "utf8").catch(() => null);
    const isDone = manifest !== null && bytes > 0;
    return {
      id,
      folder: home,
      request,
      state: isDone ? "done" : "interrupted",
      received,
      progress: null,
      manifest: isDone ? (JSON.parse(manifest) as TrainingManifest) : null,
      bytes: isDone ? bytes : null,
      error: null,
      running: null,
      abort: new AbortController(),
    };
  }

  async function startIfReady(job: Job): Promise<void> {
    const { frame } = job.request;
    if (job.state !== "uploading" || (frame.kind === "upload" && job.received < frame.bytes)) return;
    job.state = "running";
    job.error = null;
    const run = turn.then(() => make(job));
    turn = run;
    job.running = run;
  }

  async function make(job: Job): Promise<void> {
    const { request } = job;
    try {
      job.abort.signal.throwIfAborted();
      const entities = join(job.folder, frameName(request));
      if (request.frame.kind === "upload") await checkUpload(entities, request.frame.sha256);
      else if ((await sizeOf(entities)) === 0) await runSql(entities, request.frame.sql, request.frame.timeoutMs);
      const out = join(job.folder, `out.${request.format}`);
      const manifest = await writeTrainingFile(store(), {
        service: request.service,
        entities,
        out,
        knowledge: request.knowledge,
        ...(request.fitted === null ? {} : { fitted: request.fitted }),
        parts: join(job.folder, "parts"),
        signal: job.abort.signal,
        onProgress: (progress) => {
          job.progress = progress;
        },
      });
      await writeFile(join(job.folder, "manifest.json"), JSON.stringify(manifest));
      job.bytes = await sizeOf(out);
      job.manifest = manifest;
      job.state = "done";
    } catch (error) {
      if (job.abort.signal.aborted) {
        job.state = "interrupted";
        return;
      }
      job.state = "failed";
      job.error = isMillraceError(error)
        ? { code: error.code, message: error.message, kind: error.kind }
        : { code: "INTERNAL", message: error instanceof Error ? error.message : String(error), kind: "bug" };
    }
  }

  async function runSql(path: string, sql: string, timeoutMs: number): Promise<void> {
    if (offline.exportQuery === undefined) {
      throw millraceError("SQL_UNAVAILABLE", "This cold store runs no queries: give the rows in a file.");
    }
    const temporary = path.replace(/frame\./, "writing.");
    await offline.exportQuery(sql, temporary, timeoutMs);
    await rename(temporary, path);
  }

  async function checkUpload(path: string, sha256: string): Promise<void> {
    const hash = createHash("sha256");
    const handle = await open(path);
    try {
      for await (const bytes of handle.createReadStream()) hash.update(bytes as Uint8Array);
    } finally {
      await handle.close();
    }
    if (hash.digest("hex") === sha256) return;
    await rm(path);
    throw millraceError("FRAME_CORRUPT", "The frame that came is not the one that was announced: send it again.");
  }

  function find(id: string): Job {
    const job = jobs.get(id);
    if (job !== undefined) return job;
    throw millraceError("TRAINING_SET_UNKNOWN", `There is no training set '${id}': ask for it again.`);
  }

  async function statusOf(job: Job): Promise<TrainingJobStatus> {
    const { id, state, received, progress, manifest, bytes, error, request } = job;
    const path = state === "done" ? join(job.folder, `out.${request.format}`) : null;
    return { id, state, received, progress, manifest, path, bytes, error };
  }

  async function sweep(): Promise<void> {
    if (swept) return;
    swept = true;
    for (const name of await readdir(folder).catch(() => [])) {
      const made = await stat(join(folder, name)).catch(() => null);
      if (made !== null && made.mtimeMs < Date.now() - KEEP_MS) {
        await rm(join(folder, name), { recursive: true, force: true });
      }
    }
  }

  return {
    openTrainingJob,
    async appendFrame(id, offset, bytes) {
      const job = find(id);
      const { frame } = job.request;
      if (frame.kind !== "upload" || job.state !== "uploading" || offset !== job.received) return statusOf(job);
      if (offset + bytes.length > frame.bytes) {
        throw millraceError("FRAME_CORRUPT", `The frame was announced with ${frame.bytes} bytes, and more came.`);
      }
      await writeFile(join(job.folder, frameName(job.request)), bytes, { flag: "a" });
      job.received += bytes.length;
      await startIfReady(job);
      return statusOf(job);
    },
    trainingJob: async (id) => statusOf(find(id)),
    async removeTrainingJob(id) {
      const job = find(id);
      job.abort.abort();
      await job.running;
      jobs.delete(id);
      await rm(job.folder, { recursive: true, force: true });
    },
    async closeTrainingJobs() {
      for (const job of jobs.values()) job.abort.abort();
      await turn;
    },
  };
}

function frameName({ frame }: TrainingJobRequest): string {
  return `frame.${frame.kind === "sql" ? "parquet" : frame.format}`;
}

async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => null))?.size ?? 0;
}
