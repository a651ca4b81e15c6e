import { randomUUID } from "node:crypto";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { ArtifactManifest } from "./artifact-cache.ts";
import { withFileLock } from "./file-lock.ts";

/** Processes mark what they use each minute: younger marks are of versions in use, milliseconds. */
const IN_USE_MS = 5 * 60_000;
/** Parts of downloads that nobody went on with, and files of no version, milliseconds. */
const LEFT_MS = 24 * 3_600_000;

/** Removes the versions that were used least recently until the rest fits, never one that some process uses. */
export async function cleanArtifactCache(
  folder: string,
  maxBytes: number,
  isHeld: (key: string) => boolean,
): Promise<void> {
  await withFileLock(
    join(folder, "locks", "clean"),
    async () => false,
    () => clean(folder, maxBytes, isHeld),
  );
}

async function clean(folder: string, maxBytes: number, isHeld: (key: string) => boolean): Promise<void> {
  const versions: { file: string; manifest: ArtifactManifest; usedAt: number }[] = [];
  for (const name of await readdir(join(folder, "versions"))) {
    const file = join(folder, "versions", name);
    try {
      const manifest = JSON.parse(await readFile(file, "utf8")) as ArtifactManifest;
      versions.push({ file, manifest, usedAt: (await stat(file)).mtimeMs });
    } catch {
      // Removed meanwhile, or not written whole.
    }
  }
  versions.sort((a, b) => a.usedAt - b.usedAt);
  let bytes = bytesOf(versions);
  const removed = new Set<ArtifactManifest>();
  for (const version of versions) {
    if (bytes <= maxBytes) break;
    if (isHeld(version.manifest.key) || Date.now() - version.usedAt < IN_USE_MS) continue;
    removed.add(version.manifest);
    await rm(version.file, { force: true });
    const rest = versions.filter(({ manifest }) => !removed.has(manifest));
    if (rest.every(({ manifest }) => manifest.etag !== version.manifest.etag)) {
      const aside = join(folder, "trees", `.old-${randomUUID()}`);
      await rename(join(folder, "trees", version.manifest.etag), aside).catch(() => {});
    }
    bytes = bytesOf(rest);
  }
  const rest = versions.filter(({ manifest }) => !removed.has(manifest));
  const wanted = new Set(rest.flatMap(({ manifest }) => manifest.files.map((file) => file.sha256)));
  const gone = new Set([...removed].flatMap((manifest) => manifest.files.map((file) => file.sha256)));
  for (const name of await readdir(join(folder, "blobs"))) {
    for (const sha256 of await readdir(join(folder, "blobs", name))) {
      if (wanted.has(sha256)) continue;
      const file = join(folder, "blobs", name, sha256);
      // Else it may belong to a version that another process downloads this moment.
      if (gone.has(sha256) || (await isOlder(file, LEFT_MS))) await rm(file, { force: true });
    }
  }
  for (const name of await readdir(join(folder, "parts"))) {
    const file = join(folder, "parts", name);
    if (await isOlder(file, LEFT_MS)) await rm(file, { force: true });
  }
  for (const name of await readdir(join(folder, "trees"))) {
    const tree = join(folder, "trees", name);
    const isDraft = name.startsWith(".new-");
    if (name.startsWith(".old-") || (isDraft && (await isOlder(tree, LEFT_MS)))) {
      await rm(tree, { recursive: true, force: true });
    }
  }
}

/** Equal files count once. */
function bytesOf(versions: readonly { readonly manifest: ArtifactManifest }[]): number {
  const sizes = new Map(
    versions.flatMap(({ manifest }) => manifest.files.map((f) => [f.sha256, f.sizeBytes] as const)),
  );
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

async function isOlder(path: string, ms: number): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  return found !== null && Date.now() - found.mtimeMs > ms;
}
