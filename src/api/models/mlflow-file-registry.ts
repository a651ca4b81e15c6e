import { createReadStream } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { safeArtifactPath } from "./artifact-path.ts";
import type { Artifact, ArtifactSet } from "./artifact-set.ts";
import { compareVersions } from "./folder-model-source.ts";
import { MAX_REGISTERED_VERSIONS, type MlflowRegistry, type RegisteredVersion } from "./mlflow-registry.ts";
import { modelError } from "./model-errors.ts";

const MAX_DEPTH = 5;

/**
 * The registry of MLflow's file store, read without a server: `models/{name}/version-{n}/meta.yaml` and
 * `models/{name}/aliases/{alias}` below its root. Artifacts are taken from below the root only, whatever a `meta.yaml`
 * says, and not through links.
 */
export function mlflowFileRegistry(url: string): MlflowRegistry {
  const root = url.startsWith("file:") ? fileURLToPath(url) : url;

  async function readVersion(name: string, version: string): Promise<RegisteredVersion | null> {
    const folder = join(root, "models", safeName(name), `version-${version}`);
    let meta: Readonly<Record<string, unknown>>;
    try {
      meta = parse(await readFile(join(folder, "meta.yaml"), "utf8"), { schema: "core", maxAliasCount: 0 });
    } catch {
      // Not written whole, or deleted.
      return null;
    }
    if (meta === null || typeof meta !== "object") return null;
    if (meta.current_stage === "Deleted_Internal" || (meta.status !== undefined && !isReady(meta.status))) return null;
    const created = Number(meta.creation_timestamp ?? Number.NaN);
    const place = String(meta.storage_location ?? meta.source ?? "");
    const id = [version, created, place].join("@");
    return {
      version,
      id,
      createdAt: Number.isFinite(created) ? created : null,
      artifacts: () => filesIn(place, [root, name, id].join("\n")),
    };
  }

  async function filesIn(place: string, key: string): Promise<ArtifactSet> {
    const path = place.startsWith("file:") ? fileURLToPath(place) : place;
    let real: string;
    try {
      real = await realpath(path);
    } catch (cause) {
      throw modelError("MODEL_NOT_FOUND", `The file store names ${path}, which is not there.`, {
        kind: "operational",
        cause,
      });
    }
    const inner = relative(await realpath(root), real);
    if (inner === "" || inner.startsWith("..") || inner.startsWith("/")) {
      throw modelError(
        "MODEL_PATH_OUTSIDE",
        `The file store names ${path}, which is not below ${root}: keep the artifacts inside the store, or start an MLflow server with --serve-artifacts.`,
      );
    }
    return {
      key,
      list: () => filesBelow(real, "", 1),
      async read(file, from) {
        const full = join(real, file);
        const { size } = await stat(full);
        return { from, totalBytes: size, bytes: createReadStream(full, { start: from }) };
      },
    };
  }

  return {
    url,
    async versions(name, follow) {
      const folder = join(root, "models", safeName(name));
      let names: readonly string[];
      if (follow === "newest") {
        const entries = await readdir(folder).catch(() => [] as string[]);
        names = entries
          .flatMap((entry) => /^version-(\d+)$/.exec(entry)?.[1] ?? [])
          .sort((a, b) => compareVersions(b, a))
          .slice(0, MAX_REGISTERED_VERSIONS);
      } else if ("alias" in follow) {
        const text = await readFile(join(folder, "aliases", safeName(follow.alias)), "utf8").catch(() => "");
        names = /^\d+$/.test(text.trim()) ? [text.trim()] : [];
      } else {
        names = [follow.version];
      }
      const found = (await Promise.all(names.map((one) => readVersion(name, one)))).filter((one) => one !== null);
      if (found.length > 0) return found;
      const what =
        follow === "newest"
          ? "a version"
          : "alias" in follow
            ? `the alias '${follow.alias}'`
            : `version ${follow.version}`;
      throw modelError(
        "MODEL_NOT_FOUND",
        `The MLflow file store ${root} has no model '${name}' with ${what}: register it, or set the alias.`,
        { kind: "operational" },
      );
    },
    close: () => {},
  };
}

/** File stores of MLflow write the number of the status, those before 2.0 its name. */
function isReady(status: unknown): boolean {
  return status === "READY" || status === 3 || status === "3";
}

function safeName(name: string): string {
  const safe = safeArtifactPath(name);
  if (!safe.includes("/")) return safe;
  throw modelError("MODEL_NOT_FOUND", `A file store has no models or aliases with a slash in their name: '${name}'.`);
}

async function filesBelow(root: string, below: string, depth: number): Promise<readonly Artifact[]> {
  const found: Artifact[] = [];
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) {
      if (depth < MAX_DEPTH) found.push(...(await filesBelow(root, path, depth + 1)));
    } else if (entry.isFile()) {
      found.push({ path, sizeBytes: (await stat(join(root, path))).size });
    } else {
      throw modelError(
        "MODEL_PATH_OUTSIDE",
        `The model's file ${path} is a link or no file, which is not followed: nothing of this version was taken.`,
      );
    }
  }
  return found;
}
