import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import type { ModelMeta } from "../../definitions/model.ts";
import { type FolderState, folderEtag, folderState } from "./folder-etag.ts";
import { modelError } from "./model-errors.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";

export interface FolderModelSourceOptions {
  /** A folder in MLflow model format, or one that holds such folders, named by version. */
  readonly path: string;
  /** How long a version's files must have been left alone before it counts as complete. Default 1,000 ms. */
  readonly quietMs?: number;
  /** The file system's clock, epoch milliseconds. Default `Date.now`. */
  readonly now?: () => number;
}

/** Only the newest versions are looked at, so that a folder of thousands stays cheap to poll. */
const MAX_VERSIONS = 20;

interface Seen {
  readonly state: FolderState;
  /** When this state was seen first, on the monotonic clock. */
  readonly since: number;
  etag: string | null;
  /** As what it was listed last. */
  listed: ModelVersion | null;
}

/**
 * A folder in MLflow model format, or a folder of such folders: the newest is the one with the largest number as its
 * name; names that are no numbers come after those, digits in them compared as numbers (`v10` is newer than `v9`).
 * Names that start with a dot are ignored.
 *
 * A version is complete when it has an `MLmodel` file and nobody has written to its files for `quietMs`. Its id is a
 * hash of its content. A folder that is itself a model has one version, named by the first digits of that hash.
 */
export function folderModelSource(options: FolderModelSourceOptions): ModelSource {
  const { path } = options;
  const quietMs = options.quietMs ?? 1_000;
  const now = options.now ?? Date.now;
  let seen = new Map<string, Seen>();
  let isFirst = true;

  const folderOf = (name: string): string => (name === "" ? path : join(path, name));

  /** Empty name: the folder itself is the model. */
  async function names(): Promise<readonly string[]> {
    if (await isFile(join(path, "MLmodel"))) return [""];
    try {
      const entries = await readdir(path);
      return entries.filter((name) => !name.startsWith(".")).sort((a, b) => compareVersions(b, a));
    } catch (cause) {
      throw modelError(
        "MODEL_NOT_FOUND",
        `There is no folder ${path}. Save a model there in MLflow model format, or name the folder that holds it.`,
        { cause, kind: "operational" },
      );
    }
  }

  async function look(): Promise<{ complete: ModelVersion[]; pending: boolean }> {
    const complete: ModelVersion[] = [];
    const next = new Map<string, Seen>();
    let pending = false;
    for (const name of await names()) {
      if (next.size >= MAX_VERSIONS) break;
      if (name !== "" && !(await isFile(join(folderOf(name), "MLmodel")))) continue;
      const state = await folderState(folderOf(name));
      if (state === null) continue;
      const known = seen.get(name);
      const isKnown = known?.state.fingerprint === state.fingerprint;
      const current: Seen = isKnown ? known : { state, since: performance.now(), etag: null, listed: null };
      next.set(name, current);
      if (isQuiet(current)) current.etag ??= await settledEtag(name, state);
      if (current.etag === null) pending = true;
      // What is being written anew keeps its place among the others, though it cannot be fetched.
      current.listed = current.etag === null ? (known?.listed ?? null) : versionOf(name, current.etag, state);
      if (current.listed !== null) complete.push(current.listed);
    }
    seen = next;
    return { complete, pending };
  }

  /** By the file system's clock, or, should that one be ahead, by having looked twice. */
  function isQuiet({ state, since }: Seen): boolean {
    return now() - state.changedAt >= quietMs || performance.now() - since >= quietMs;
  }

  async function settledEtag(name: string, before: FolderState): Promise<string | null> {
    const etag = await folderEtag(folderOf(name), before.files).catch(() => null);
    const after = await folderState(folderOf(name));
    return after?.fingerprint === before.fingerprint ? etag : null;
  }

  return {
    async list() {
      let { complete, pending } = await look();
      // A model that was saved just before the start: better a second later than not at all.
      if (isFirst && complete.length === 0 && pending) {
        await wait(quietMs);
        ({ complete, pending } = await look());
      }
      isFirst = false;
      return complete;
    },
    async fetch(version) {
      for (const [name, { etag, state }] of seen) {
        if (etag === null || versionOf(name, etag, state).id !== version.id) continue;
        const folder = folderOf(name);
        if ((await folderState(folder))?.fingerprint === state.fingerprint) return { folder, etag };
      }
      throw modelError(
        "MODEL_VERSION_CHANGED",
        `The files of version ${version.version} in ${path} changed or went while they were read. They are read again at the next poll.`,
        { kind: "operational" },
      );
    },
    close: async () => {},
  };
}

/** The source of a model that is declared to lie in a folder. @throws `MODEL_SERVER_UNKNOWN` for others */
export function folderSourceOf(model: ModelMeta, options: Omit<FolderModelSourceOptions, "path"> = {}): ModelSource {
  const { location } = model;
  if (location.location === "folder") return folderModelSource({ path: location.path, ...options });
  throw modelError(
    "MODEL_SERVER_UNKNOWN",
    `Model '${model.name}' does not come from a folder, and only folders are known here.`,
  );
}

function versionOf(name: string, etag: string, state: FolderState): ModelVersion {
  const version = name === "" ? etag.slice(0, 12) : name;
  return { version, id: `${version}@${etag}`, etag, createdAt: Math.floor(state.modifiedAt) };
}

async function isFile(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Below 0 if `a` is older. */
export function compareVersions(a: string, b: string): number {
  const [isNumberA, isNumberB] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (isNumberA !== isNumberB) return isNumberA ? 1 : -1;
  const [partsA, partsB] = [a.split(/(\d+)/), b.split(/(\d+)/)];
  for (let i = 0; i < Math.min(partsA.length, partsB.length); i++) {
    const [x, y] = [partsA[i]!, partsB[i]!];
    // Odd places hold the digits.
    const order = i % 2 === 1 ? compareDigits(x, y) : x < y ? -1 : x > y ? 1 : 0;
    if (order !== 0) return order;
  }
  return partsA.length - partsB.length || (a < b ? -1 : a > b ? 1 : 0);
}

function compareDigits(a: string, b: string): number {
  const [x, y] = [a.replace(/^0+/, ""), b.replace(/^0+/, "")];
  return x.length - y.length || (x < y ? -1 : x > y ? 1 : 0);
}
