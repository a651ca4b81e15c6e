import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { open, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as wait } from "node:timers/promises";
import { SingleBar } from "cli-progress";
import { millraceError } from "../../definitions/errors.ts";
import { formatOf } from "../../feature_store/training-file.ts";
import { type Connection, connect } from "../connect.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";

interface TrainingSetOptions extends GlobalOptions {
  readonly entities?: string;
  readonly sql?: string;
  readonly timeout: number;
  readonly out: string;
  readonly manifest?: string;
  readonly model?: string;
  readonly knowledge: "event_time" | "ingested_at";
}

interface Job {
  readonly id: string;
  readonly state: "uploading" | "running" | "done" | "failed" | "interrupted";
  readonly received: number;
  readonly progress: { readonly step: string; readonly rows: number; readonly total: number } | null;
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly kind: "user" | "operational" | "bug";
  } | null;
  readonly millrace: { readonly features: readonly string[]; readonly rows: number } | null;
}

const PIECE_BYTES = 8 * 2 ** 20;
const POLL_MS = 200;

/** Writes the frame with its features, and `millrace.json` beside it. A run that was ended goes on where it was. */
export async function trainingSet(service: string, options: TrainingSetOptions): Promise<void> {
  const format = formatOf(options.out);
  const { entities, sql } = options;
  if ((entities === undefined) === (sql === undefined)) {
    throw millraceError("OPTION_INVALID", "Give the rows by --entities <file> or by --sql <query>, one of them.");
  }
  const config = await configOf(options);
  const started = performance.now();
  const frame =
    entities === undefined ? { sql, timeout_seconds: options.timeout } : { frame: await announce(entities) };
  await using connection = await connect(config);
  const request = { service, knowledge: options.knowledge, format, ...frame };
  const model = options.model === undefined ? {} : { model: options.model };
  let job = await connection.ask<Job>("POST", "/v1/training-sets", { ...request, ...model });
  if (entities !== undefined) job = await send(connection, job, entities);
  job = await finished(connection, job);
  const temporary = `${options.out}.${process.pid}.part`;
  try {
    const response = await connection.raw("GET", `/v1/training-sets/${job.id}/file`);
    await pipeline(Readable.fromWeb(response.body! as never), createWriteStream(temporary)).catch((cause: unknown) => {
      throw millraceError("FILE_UNWRITABLE", `The file ${options.out} cannot be written: check its folder.`, { cause });
    });
    await rename(temporary, options.out);
  } finally {
    await rm(temporary, { force: true });
  }
  const manifest = job.millrace!;
  const manifestFile = options.manifest ?? join(dirname(options.out), "millrace.json");
  await writeFile(manifestFile, `${JSON.stringify(manifest, null, 2)}\n`);
  await connection.raw("DELETE", `/v1/training-sets/${job.id}`);
  const seconds = (performance.now() - started) / 1_000;
  const { rows, features } = manifest;
  print(
    options,
    { rows, features: features.length, out: options.out, manifest: manifestFile, seconds },
    () =>
      `${options.out}: ${rows} rows, ${features.length} features\n${manifestFile}: what the model's folder must carry\nin ${seconds.toFixed(1)} s`,
  );
}

/** The frame's format, length and hash, by which the server knows one that it has. */
async function announce(path: string): Promise<{ format: string; bytes: number; sha256: string }> {
  const format = /\.(csv|csv\.gz|parquet|jsonl|ndjson|arrow|arrows|feather|ipc)$/i.exec(path)?.[1]?.toLowerCase();
  if (format === undefined) {
    throw millraceError(
      "FILE_FORMAT_UNKNOWN",
      `The format of ${path} is unknown: use a name that ends in .csv, .csv.gz, .parquet, .jsonl or .arrow.`,
    );
  }
  const found = await stat(path).catch(() => null);
  if (found === null) throw millraceError("FILE_NOT_FOUND", `There is no file ${path}: check the path.`);
  if (found.size === 0) throw millraceError("FILE_CORRUPT", `The file ${path} is empty.`);
  const hash = createHash("sha256");
  for await (const bytes of createReadStream(path)) hash.update(bytes as Uint8Array);
  const names: Readonly<Record<string, string>> = { ndjson: "jsonl", arrows: "arrow", feather: "arrow", ipc: "arrow" };
  return { format: names[format] ?? format, bytes: found.size, sha256: hash.digest("hex") };
}

async function send(connection: Connection, opened: Job, path: string): Promise<Job> {
  let job = opened;
  const file = await open(path);
  try {
    while (job.state === "uploading") {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(PIECE_BYTES), 0, PIECE_BYTES, job.received);
      const answer = await connection.raw(
        "PUT",
        `/v1/training-sets/${job.id}/frame?offset=${job.received}`,
        new Uint8Array(buffer.buffer, buffer.byteOffset, bytesRead),
        { "content-type": "application/octet-stream" },
      );
      job = (await answer.json()) as Job;
    }
  } finally {
    await file.close();
  }
  return job;
}

const STEPS: Readonly<Record<string, string>> = { read: "reading history", fit: "fitting", write: "writing" };

/** Waits, and shows how far it is while a terminal looks on. */
async function finished(connection: Connection, opened: Job): Promise<Job> {
  const bar =
    process.stderr.isTTY === true
      ? new SingleBar({ format: "{bar} {value}/{total} rows, {step}, {eta_formatted} left", stream: process.stderr })
      : null;
  bar?.start(1, 0, { step: "starting" });
  try {
    let job = opened;
    while (job.state === "running") {
      await wait(POLL_MS);
      job = await connection.ask<Job>("GET", `/v1/training-sets/${job.id}`);
      if (bar !== null && job.progress !== null) {
        bar.setTotal(job.progress.total);
        bar.update(job.progress.rows, { step: STEPS[job.progress.step] });
      }
    }
    if (job.state === "done") return job;
    const { code, message, kind } = job.error ?? {
      code: "ABORTED",
      message: "The server stopped the training set: run this again, it goes on where it was.",
      kind: "operational",
    };
    throw millraceError(code, message, { kind });
  } finally {
    bar?.stop();
  }
}
