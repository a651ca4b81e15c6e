import { createHash } from "node:crypto";
import { createReadStream, type Stats } from "node:fs";
import { readdir, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";

/** What a folder's files look like from outside, without reading them. */
export interface FolderState {
  /** Equal fingerprints: nobody wrote in between. */
  readonly fingerprint: string;
  /** The newest change of any of the files, content or metadata; epoch milliseconds. */
  readonly changedAt: number;
  readonly modifiedAt: number;
  /** Relative, with forward slashes, sorted. */
  readonly files: readonly string[];
}

const MAX_DEPTH = 4;
const MAX_FILES = 10_000;

/** Looks at all files of a folder, four levels deep; links to folders are not followed. Null if it is gone. */
export async function folderState(path: string): Promise<FolderState | null> {
  const found = new Map<string, string>();
  let changedAt = 0;
  let modifiedAt = 0;
  async function look(below: string, depth: number): Promise<void> {
    for (const entry of await readdir(join(path, below), { withFileTypes: true })) {
      const name = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) {
        if (depth < MAX_DEPTH) await look(name, depth + 1);
        continue;
      }
      if (found.size >= MAX_FILES) return;
      const facts: Stats = await stat(join(path, name));
      found.set(name, `${facts.size}:${facts.mtimeMs}:${facts.ctimeMs}:${facts.ino}`);
      // A copy may keep the modification time of its original; the change time cannot be set.
      changedAt = Math.max(changedAt, facts.mtimeMs, facts.ctimeMs);
      modifiedAt = Math.max(modifiedAt, facts.mtimeMs);
    }
  }
  try {
    await look("", 0);
  } catch (error) {
    // A file that goes while it is looked at: the folder is being written.
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR")) return null;
    throw error;
  }
  const files = [...found.keys()].sort();
  return { fingerprint: files.map((file) => `${file}=${found.get(file)}`).join("\n"), changedAt, modifiedAt, files };
}

/** As {@link folderEtag}, of plain files whose hashes (SHA-256, in hex) are known; sorted by their paths. */
export function etagOfFiles(files: readonly { readonly path: string; readonly sha256: string }[]): string {
  const all = createHash("sha256");
  for (const { path, sha256 } of files) all.update(`file ${path} ${sha256}\n`);
  return all.digest("hex").slice(0, 32);
}

/** A hash of the names and contents of a folder's files, in hex. Equal for equal folders, wherever they are. */
export async function folderEtag(path: string, files: readonly string[]): Promise<string> {
  const all = createHash("sha256");
  for (const file of files) {
    const full = join(path, file);
    const target = await readlink(full).catch(() => null);
    // What a link points to may lie outside the folder, which the loader refuses to read too.
    if (target !== null) {
      all.update(`link ${file} ${target}\n`);
      continue;
    }
    const one = createHash("sha256");
    await pipeline(createReadStream(full), one);
    all.update(`file ${file} ${one.digest("hex")}\n`);
  }
  return all.digest("hex").slice(0, 32);
}
