import { glob, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { ingestionError } from "../ingestion-error.ts";
import { fileError } from "./file-text.ts";
import type { ReplayFormat } from "./replay-file.ts";

const FORMATS: readonly (readonly [RegExp, ReplayFormat])[] = [
  [/\.csv(?:\.gz)?$/i, "csv"],
  [/\.(?:jsonl|ndjson|json)(?:\.gz)?$/i, "jsonl"],
];

function formatOf(path: string): ReplayFormat | null {
  return FORMATS.find(([pattern]) => pattern.test(path))?.[1] ?? null;
}

/** By code units, so that the order is the same on every machine. */
function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

async function filesOf(path: string): Promise<readonly string[]> {
  if (/[*?[{]/.test(path)) {
    const exists = await stat(path).then(
      () => true,
      () => false,
    );
    if (!exists) {
      const found: string[] = [];
      for await (const match of glob(path)) {
        if ((await stat(match)).isFile()) found.push(match);
      }
      return found.sort(byName);
    }
  }
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isFile() && formatOf(entry.name) !== null).map((entry) => entry.name);
    return names.sort(byName).map((name) => join(path, name));
  } catch (error) {
    throw fileError(path, error);
  }
}

/**
 * The files of paths, folders (their `.csv`, `.jsonl`, `.ndjson`, `.json` files, also with `.gz`, by name) and glob
 * patterns (by name), and their one format. Fails with `FILE_NOT_FOUND` and `FILE_FORMAT_UNKNOWN`.
 */
export async function resolveReplayPaths(
  paths: readonly string[],
  format: ReplayFormat | undefined,
): Promise<{ readonly files: readonly string[]; readonly format: ReplayFormat }> {
  const files: string[] = [];
  for (const path of paths) {
    const found = await filesOf(path);
    if (found.length === 0) {
      throw ingestionError(
        "FILE_NOT_FOUND",
        `${path} holds no file to replay: give a file, a folder with .csv or .jsonl files, or a pattern that matches.`,
        { details: { file: path } },
      );
    }
    files.push(...found);
  }
  if (format !== undefined) return { files, format };
  const formats = new Set(files.map(formatOf));
  const [only] = formats;
  if (formats.size !== 1 || only === null || only === undefined) {
    throw ingestionError(
      "FILE_FORMAT_UNKNOWN",
      `The format of ${files.join(", ") || "the replay"} is not clear from the names: all must end in .csv, or all in ` +
        `.jsonl, .ndjson or .json, optionally with .gz; or set the replay's format to "csv" or "jsonl".`,
    );
  }
  return { files, format: only };
}
