import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { isMillraceError } from "../../definitions/errors.ts";
import type { ArtifactSet } from "./artifact-set.ts";
import { isDiskError } from "./cache-disk-error.ts";
import { modelError } from "./model-errors.ts";

export interface DownloadedFile {
  readonly path: string;
  /** Hex. */
  readonly sha256: string;
  readonly sizeBytes: number;
}

export interface DownloadOptions {
  /** Where the bytes go; what lies there from an interrupted download is gone on with. */
  readonly partPath: string;
  /** Of the whole file. */
  readonly maxBytes: number;
  /** From its hash, where the whole file goes; atomically. */
  readonly placeOf: (sha256: string) => string;
  readonly onBytes: (count: number) => void;
  /** Monotonic clock, milliseconds. */
  readonly now?: () => number;
}

const ATTEMPTS = 5;
/**
 * What comes more slowly for so long is given up for now, with what came kept: meanwhile another version may be the one
 * that should serve. Milliseconds, and bytes in them.
 */
const SLOW_MS = 60_000;
const SLOW_BYTES = 60 * 1024;

/**
 * Streams one file to disk while hashing it. A connection that breaks is gone on with where it broke, up to five times
 * in a row without progress; what came until a crash is kept, too.
 * @throws MODEL_SERVER_UNAVAILABLE, MODEL_TOO_LARGE, and what the disk refuses as Node says it
 */
export async function downloadArtifact(
  set: ArtifactSet,
  file: { readonly path: string; readonly sizeBytes: number | null },
  options: DownloadOptions,
): Promise<DownloadedFile> {
  const { now = () => performance.now() } = options;
  let { hash, size } = await hashOfPart(options.partPath, file.sizeBytes);
  for (let attempt = 1; ; ) {
    if (size > 0 && size === file.sizeBytes) break;
    const before = size;
    try {
      const answer = await set.read(file.path, size);
      if (answer.from !== size) {
        hash = createHash("sha256");
        size = 0;
      }
      let [since, sizeThen] = [now(), size];
      const target = await open(options.partPath, size === 0 ? "w" : "a");
      try {
        for await (const bytes of answer.bytes) {
          if (size + bytes.length > options.maxBytes) throw tooLarge(file.path, options.maxBytes);
          await target.appendFile(bytes);
          hash.update(bytes);
          size += bytes.length;
          options.onBytes(bytes.length);
          const at = now();
          if (at - since < SLOW_MS) continue;
          if (size - sizeThen < SLOW_BYTES) throw tooSlow(file.path);
          [since, sizeThen] = [at, size];
        }
      } finally {
        await target.close();
      }
      const wanted = file.sizeBytes ?? answer.totalBytes;
      if (wanted === null || size === wanted) break;
      // An answer that came to its end is no part of the file: nothing is to go on with.
      const came = size;
      hash = createHash("sha256");
      size = 0;
      throw incomplete(file.path, came, wanted);
    } catch (error) {
      const isForTheMoment = isMillraceError(error) && error.code === "MODEL_SERVER_UNAVAILABLE";
      if (isDiskError(error) || (isMillraceError(error) && !isForTheMoment)) throw error;
      if (isMillraceError(error) && error.details.reason === "SLOW") throw error;
      attempt = size > before ? 1 : attempt + 1;
      if (size === 0) await rm(options.partPath, { force: true });
      if (attempt > ATTEMPTS) throw isMillraceError(error) ? error : broken(file.path, error);
      if (file.sizeBytes !== null && size > file.sizeBytes) {
        hash = createHash("sha256");
        size = 0;
      }
      await wait(Math.random() * 200 * 2 ** attempt);
    }
  }
  const sha256 = hash.digest("hex");
  await rename(options.partPath, options.placeOf(sha256));
  return { path: file.path, sha256, sizeBytes: size };
}

async function hashOfPart(path: string, wanted: number | null): Promise<{ hash: Hash; size: number }> {
  const hash = createHash("sha256");
  const size = (await stat(path).catch(() => null))?.size ?? 0;
  // Without a size nobody could tell whether it is a part of the same file.
  if (size === 0 || wanted === null || size > wanted) return { hash, size: 0 };
  for await (const bytes of createReadStream(path)) hash.update(bytes as Buffer);
  return { hash, size };
}

function tooLarge(path: string, limit: number): Error {
  return modelError("MODEL_TOO_LARGE", `${path} of the model is larger than ${limit} bytes, the most that is taken.`);
}

function tooSlow(path: string): Error {
  return modelError(
    "MODEL_SERVER_UNAVAILABLE",
    `${path} of the model comes at less than 1 KiB a second: what came is kept, and the rest is asked for later. Look at the server's artifact store.`,
    { kind: "operational", details: { reason: "SLOW" } },
  );
}

function incomplete(path: string, size: number, wanted: number): Error {
  return modelError(
    "MODEL_SERVER_UNAVAILABLE",
    `${path} of the model came with ${size} of ${wanted} bytes, as what a proxy answers in its place may.`,
    {
      kind: "operational",
    },
  );
}

function broken(path: string, cause: unknown): Error {
  const why = cause instanceof Error ? cause.message : String(cause);
  return modelError("MODEL_SERVER_UNAVAILABLE", `${path} of the model could not be read to its end: ${why}.`, {
    kind: "operational",
    cause,
  });
}
