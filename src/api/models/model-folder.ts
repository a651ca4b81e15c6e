import { type FileHandle, open, readdir, realpath } from "node:fs/promises";
import { isAbsolute, join, relative, sep } from "node:path";
import { modelError } from "./model-errors.ts";

/** A folder that a model was saved to. Nothing outside it is ever read. */
export interface ModelFolder {
  /** The real path, symbolic links resolved. */
  readonly path: string;
}

/** Opens a folder. @throws MODEL_NOT_FOUND */
export async function openModelFolder(path: string): Promise<ModelFolder> {
  try {
    return { path: await realpath(path) };
  } catch (cause) {
    throw modelError("MODEL_NOT_FOUND", `There is no model folder at ${path}.`, { cause });
  }
}

/**
 * Reads a file of the folder. The path may not leave it, neither by `..` or an absolute path nor by a symbolic link.
 *
 * @throws MODEL_PATH_OUTSIDE, MODEL_NOT_FOUND, MODEL_TOO_LARGE (`maxBytes`)
 */
export async function readModelFile(folder: ModelFolder, path: string, maxBytes: number): Promise<Uint8Array> {
  const outside = (): Error =>
    modelError(
      "MODEL_PATH_OUTSIDE",
      `The model names the file "${path.slice(0, 200)}", which is not inside its folder, and was not read. Save the model again with all of its files in one folder.`,
    );
  if (isAbsolute(path) || /^[A-Za-z]:|[\\\0]/.test(path) || path.split("/").includes("..")) throw outside();
  let file: FileHandle;
  try {
    const real = await realpath(join(folder.path, path));
    const inner = relative(folder.path, real);
    if (inner === ".." || inner.startsWith(`..${sep}`) || isAbsolute(inner)) throw outside();
    file = await open(real, "r");
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && (cause.code === "ENOENT" || cause.code === "ENOTDIR")) {
      throw modelError("MODEL_NOT_FOUND", `The model folder has no file ${path}. Download or save the model again.`, {
        cause,
      });
    }
    throw cause;
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) throw modelError("MODEL_NOT_FOUND", `${path} in the model folder is not a file.`);
    if (stat.size > maxBytes) {
      throw modelError(
        "MODEL_TOO_LARGE",
        `${path} has ${stat.size} bytes, above the limit of ${maxBytes}. Raise the limit if the model is meant to be so large.`,
        {
          details: { size_bytes: stat.size, limit_bytes: maxBytes },
        },
      );
    }
    return new Uint8Array(await file.readFile());
  } finally {
    await file.close();
  }
}

const MAX_DEPTH = 4;
const MAX_ENTRIES = 10_000;

/**
 * The path of the file of that name nearest to the folder's root, in alphabetical order of folders, at most four levels
 * down; null when there is none. Symbolic links to folders are not followed.
 */
export async function findModelFile(folder: ModelFolder, name: string): Promise<string | null> {
  let level = [""];
  let seen = 0;
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    const below: string[] = [];
    for (const path of level) {
      const entries = await readdir(join(folder.path, path), { withFileTypes: true });
      seen += entries.length;
      if (seen > MAX_ENTRIES) return null;
      if (entries.some((entry) => entry.name === name && !entry.isDirectory()))
        return path === "" ? name : `${path}/${name}`;
      for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
        if (entry.isDirectory()) below.push(path === "" ? entry.name : `${path}/${entry.name}`);
      }
    }
    level = below;
  }
  return null;
}
