import { createHash, randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, copyFile, link, mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { cleanArtifactCache } from "./artifact-cleaning.ts";
import { type DownloadedFile, downloadArtifact } from "./artifact-download.ts";
import { isPickle, MAX_ARTIFACT_DEPTH, safeArtifactPath } from "./artifact-path.ts";
import type { ArtifactSet } from "./artifact-set.ts";
import { diskFailure, isDiskError, isDiskFull } from "./cache-disk-error.ts";
import { withFileLock } from "./file-lock.ts";
import { etagOfFiles } from "./folder-etag.ts";
import { modelError } from "./model-errors.ts";

export interface ArtifactCacheOptions {
  /** Of the cache alone; made if it is not there. Processes share it. */
  readonly folder: string;
  /** The most that it keeps on disk; versions in use are kept in any case. */
  readonly maxBytes: number;
  readonly onDownloaded?: (bytes: number) => void;
}

/** A version's files on the local disk. */
export interface CachedModel {
  readonly folder: string;
  /** See `folderEtag`. */
  readonly etag: string;
}

/** Files of models on the local disk, by their content: equal files of different versions are kept once. */
export interface ArtifactCache {
  /**
   * The set as a folder, downloaded unless it is there whole. What is there is hashed before its first use in this
   * process, and downloaded again if a file is not what it was. Pickles are left out, and what lies deeper than five
   * folders. The folder stays until it is released.
   * @throws MODEL_PATH_OUTSIDE, MODEL_TOO_LARGE, MODEL_SERVER_UNAVAILABLE, MODEL_CACHE_UNAVAILABLE, and what the set throws
   */
  fetch(set: ArtifactSet): Promise<CachedModel>;
  /** It may be removed when space is needed. */
  release(key: string): void;
  /** Keeps a note beside the files, for {@link recall}. */
  note(about: string, value: unknown): Promise<void>;
  /** What was noted last, also by another process; null if nothing was. */
  recall(about: string): Promise<unknown>;
  /** Downloads it anew the next time. */
  discard(key: string): Promise<void>;
  close(): void;
}

/** What a version consists of, beside its folder. */
export interface ArtifactManifest {
  readonly key: string;
  readonly etag: string;
  readonly files: readonly DownloadedFile[];
}

interface WantedFile {
  readonly path: string;
  /** Null if the server does not say it. */
  readonly sizeBytes: number | null;
}

const MAX_FILES = 10_000;
/** Versions in use are marked so often, milliseconds. */
const MARK_MS = 60_000;

export function artifactCache(options: ArtifactCacheOptions): ArtifactCache {
  const { folder, maxBytes } = options;
  const place = (...names: readonly string[]): string => join(folder, ...names);
  const idOf = (key: string): string => createHash("sha256").update(key).digest("hex").slice(0, 40);
  const manifestOf = (key: string): string => place("versions", `${idOf(key)}.json`);
  const blobOf = (sha256: string): string => place("blobs", sha256.slice(0, 2), sha256);
  /** Those in use here, whose files were hashed. */
  const held = new Map<string, CachedModel>();
  const underWay = new Map<string, Promise<CachedModel>>();
  const marks = setInterval(() => void Promise.all([...held.keys()].map(mark)), MARK_MS);
  marks.unref();

  async function mark(key: string): Promise<void> {
    const now = new Date();
    await utimes(manifestOf(key), now, now).catch(() => {});
  }

  async function readManifest(key: string): Promise<ArtifactManifest | null> {
    try {
      const manifest = JSON.parse(await readFile(manifestOf(key), "utf8")) as ArtifactManifest;
      return manifest.key === key && Array.isArray(manifest.files) ? manifest : null;
    } catch {
      return null;
    }
  }

  /** True if every file is there and is what it was. */
  async function isSound({ etag, files }: ArtifactManifest): Promise<boolean> {
    for (const file of files) {
      if ((await hashOf(place("trees", etag, file.path))) !== file.sha256) return false;
    }
    return true;
  }

  async function known(key: string): Promise<CachedModel | null> {
    const manifest = await readManifest(key);
    if (manifest === null) return null;
    await mark(key);
    if (await isSound(manifest)) return { folder: place("trees", manifest.etag), etag: manifest.etag };
    await discardManifest(key, manifest);
    return null;
  }

  /** Blobs stay: others may be about to link them, and what is not what it was is replaced by its hash. */
  async function discardManifest(key: string, { etag }: ArtifactManifest): Promise<void> {
    await rm(manifestOf(key), { force: true });
    if (!(await isNamed(etag))) await removeTree(place("trees", etag));
  }

  /** True if some version has this content. */
  async function isNamed(etag: string): Promise<boolean> {
    for (const name of await readdir(place("versions"))) {
      const text = await readFile(place("versions", name), "utf8").catch(() => "");
      if (text.includes(`"etag":${JSON.stringify(etag)}`)) return true;
    }
    return false;
  }

  /** At once for readers: a folder without some of its files is never seen under its name. */
  async function removeTree(path: string): Promise<void> {
    const aside = place("trees", `.old-${randomUUID()}`);
    await rename(path, aside).catch(() => {});
    await rm(aside, { recursive: true, force: true });
  }

  async function download(set: ArtifactSet): Promise<void> {
    const listed = await set.list();
    if (listed.length > MAX_FILES) {
      throw modelError("MODEL_TOO_LARGE", `The model has more than ${MAX_FILES} files.`);
    }
    const wanted = listed
      .map((file) => ({ ...file, path: safeArtifactPath(file.path) }))
      .filter(({ path }) => !isPickle(path) && path.split("/").length <= MAX_ARTIFACT_DEPTH)
      .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0));
    const total = wanted.reduce((sum, file) => sum + (file.sizeBytes ?? 0), 0);
    if (total > maxBytes) {
      throw modelError(
        "MODEL_TOO_LARGE",
        `The model's files have ${total} bytes together, above the ${maxBytes} that the cache may take: raise models.artifactCacheBytes.`,
        { details: { size_bytes: total, limit_bytes: maxBytes } },
      );
    }
    const files: DownloadedFile[] = [];
    const parts = new Map<string, string>();
    let left = maxBytes;
    for (const file of wanted) {
      const part = createHash("sha256").update(`${set.key}\n${file.path}`).digest("hex");
      const done =
        (await wholeFile(part, file)) ??
        (await downloadArtifact(set, file, {
          partPath: place("parts", part),
          maxBytes: left,
          placeOf: (sha256) => place("parts", `${part}.${sha256}`),
          onBytes: (count) => options.onDownloaded?.(count),
        }));
      left -= done.sizeBytes;
      const downloaded = place("parts", `${part}.${done.sha256}`);
      await chmod(downloaded, 0o444);
      files.push(done);
      parts.set(done.path, downloaded);
    }
    const manifest: ArtifactManifest = { key: set.key, etag: etagOfFiles(files), files };
    await plantTree(manifest, parts);
    const draft = place("versions", `.${randomUUID()}`);
    await writeFile(draft, JSON.stringify(manifest));
    await rename(draft, manifestOf(set.key));
    await Promise.all([...parts.values()].map((part) => rm(part, { force: true })));
  }

  /** What a process that was killed later had downloaded whole; null without such a file, or without a size to know it by. */
  async function wholeFile(part: string, { path, sizeBytes }: WantedFile): Promise<DownloadedFile | null> {
    if (sizeBytes === null) return null;
    for (const name of await readdir(place("parts"))) {
      if (!name.startsWith(`${part}.`)) continue;
      const sha256 = name.slice(part.length + 1);
      const isWhole = (await stat(place("parts", name))).size === sizeBytes;
      if (isWhole && (await hashOf(place("parts", name))) === sha256) return { path, sha256, sizeBytes };
    }
    return null;
  }

  /** `parts`: by path, the file as it was downloaded for this version, which nobody else touches. */
  async function plantTree({ etag, files, key }: ArtifactManifest, parts: ReadonlyMap<string, string>): Promise<void> {
    // Another version of the same content, which others may be reading.
    if (await isSound({ key, etag, files })) return;
    const draft = place("trees", `.new-${randomUUID()}`);
    await mkdir(draft);
    for (const { path, sha256 } of files) {
      const target = join(draft, path);
      await mkdir(dirname(target), { recursive: true });
      await plantFile(parts.get(path)!, sha256, target);
    }
    await removeTree(place("trees", etag));
    await rename(draft, place("trees", etag)).catch(() => rm(draft, { recursive: true, force: true }));
  }

  /**
   * Links the blob that other versions have, if it is what it should be, else the downloaded file, which becomes the
   * blob. A blob may be removed or replaced at any moment, the downloaded file may not.
   */
  async function plantFile(downloaded: string, sha256: string, target: string): Promise<void> {
    const blob = blobOf(sha256);
    if ((await hashOf(blob)) === sha256 && (await tryLink(blob, target))) return;
    if (!(await tryLink(downloaded, target))) await copyFile(downloaded, target);
    await mkdir(dirname(blob), { recursive: true });
    await rename(downloaded, blob);
  }

  /** Once more if the disk was full and what nobody uses has made room. */
  async function fetch(set: ArtifactSet): Promise<CachedModel> {
    try {
      return await fetchOnce(set).catch(async (error: unknown) => {
        if (!isDiskFull(error)) throw error;
        await cleanArtifactCache(folder, 0, (key) => held.has(key) || key === set.key).catch(() => {});
        return fetchOnce(set);
      });
    } catch (error) {
      throw isDiskError(error) ? diskFailure(error, folder) : error;
    }
  }

  async function fetchOnce(set: ArtifactSet): Promise<CachedModel> {
    for (const name of ["versions", "trees", "blobs", "parts", "locks"]) {
      await mkdir(place(name), { recursive: true, mode: 0o700 });
    }
    let found = await known(set.key);
    if (found === null) {
      await withFileLock(
        place("locks", idOf(set.key)),
        async () => (await readManifest(set.key)) !== null,
        async () => {
          if ((await readManifest(set.key)) === null) await download(set);
        },
      );
      found = await known(set.key);
      await cleanArtifactCache(folder, maxBytes, (key) => held.has(key) || key === set.key).catch(() => {});
    }
    if (found !== null) return found;
    throw modelError("MODEL_CORRUPT", "The downloaded files changed on the local disk before they could be used.", {
      kind: "operational",
    });
  }

  return {
    async fetch(set) {
      const holding = held.get(set.key);
      if (holding !== undefined && (await stat(holding.folder).catch(() => null)) !== null) return holding;
      held.delete(set.key);
      let work = underWay.get(set.key);
      if (work === undefined) {
        work = fetch(set).finally(() => underWay.delete(set.key));
        underWay.set(set.key, work);
      }
      const fetched = await work;
      held.set(set.key, fetched);
      return fetched;
    },
    release(key) {
      held.delete(key);
    },
    async note(about, value) {
      await mkdir(place("notes"), { recursive: true, mode: 0o700 });
      const draft = place("notes", `.${randomUUID()}`);
      await writeFile(draft, JSON.stringify({ about, value }));
      await rename(draft, place("notes", `${idOf(about)}.json`));
    },
    async recall(about) {
      try {
        const noted = JSON.parse(await readFile(place("notes", `${idOf(about)}.json`), "utf8"));
        return noted.about === about ? noted.value : null;
      } catch {
        return null;
      }
    },
    async discard(key) {
      held.delete(key);
      const manifest = await readManifest(key);
      if (manifest !== null) await discardManifest(key, manifest);
    },
    close: () => clearInterval(marks),
  };
}

/** False if the file is gone, or the file system has no links. */
function tryLink(from: string, to: string): Promise<boolean> {
  return link(from, to).then(
    () => true,
    () => false,
  );
}

/** SHA-256 in hex; null if the file cannot be read. */
async function hashOf(path: string): Promise<string | null> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash);
  } catch {
    return null;
  }
  return hash.digest("hex");
}
