import { isMillraceError } from "../../definitions/errors.ts";
import type { MlflowModelLocation } from "../../definitions/model.ts";
import type { ArtifactCache } from "./artifact-cache.ts";
import type { ArtifactSet } from "./artifact-set.ts";
import type { MlflowRegistry, RegisteredVersion } from "./mlflow-registry.ts";
import { modelError } from "./model-errors.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";

/** A version that served, as it is noted for times when MLflow does not answer. */
interface NotedVersion {
  readonly version: string;
  readonly id: string;
  readonly createdAt: number | null;
  /** Of its set of artifacts. */
  readonly key: string;
}

/**
 * The versions of a registered model of MLflow; their files come by way of the cache. Should MLflow not answer when a
 * process starts, the version that served last on this machine serves until it does.
 */
export function mlflowModelSource(
  location: MlflowModelLocation,
  registry: MlflowRegistry,
  cache: ArtifactCache,
): ModelSource {
  const { name, follow } = location;
  const about = JSON.stringify([registry.url, name, follow]);
  let listed: ReadonlyMap<string, RegisteredVersion> | null = null;
  /** Asked once per version: where its files are does not change. */
  const sets = new Map<string, Promise<ArtifactSet>>();
  const etags = new Map<string, string>();

  function setOf({ id, version }: ModelVersion): Promise<ArtifactSet> {
    const known = sets.get(id);
    if (known !== undefined) return known;
    const registered = listed?.get(id);
    if (registered === undefined) {
      throw modelError("MODEL_VERSION_CHANGED", `MLflow no longer lists version ${version} of '${name}'.`, {
        kind: "operational",
      });
    }
    const set = registered.artifacts();
    sets.set(id, set);
    set.catch(() => sets.delete(id));
    return set;
  }

  function forget(id: string): void {
    sets.delete(id);
    etags.delete(id);
  }

  /** What served last, if MLflow cannot be asked and never was. */
  async function recalled(error: unknown): Promise<readonly RegisteredVersion[]> {
    const isAway = isMillraceError(error) && error.code === "MODEL_SERVER_UNAVAILABLE";
    const noted = isAway && listed === null ? ((await cache.recall(about)) as NotedVersion | null) : null;
    if (noted === null) throw error;
    const { key, ...version } = noted;
    const away = (): Promise<never> => Promise.reject(error);
    return [{ ...version, artifacts: async () => ({ key, list: away, read: away }) }];
  }

  return {
    async list() {
      let versions: readonly RegisteredVersion[];
      try {
        versions = await registry.versions(name, follow);
        listed = new Map(versions.map((version) => [version.id, version]));
      } catch (error) {
        versions = await recalled(error);
        for (const version of versions) sets.set(version.id, version.artifacts());
      }
      return versions.map(({ version, id, createdAt }) => ({ version, id, createdAt, etag: etags.get(id) ?? null }));
    },
    async find(version) {
      const isNumber = /^[1-9]\d*$/.test(version);
      const found = isNumber ? (await registry.versions(name, { version }).catch(nullIfMissing))?.[0] : undefined;
      if (found === undefined) return null;
      sets.set(found.id, found.artifacts());
      sets.get(found.id)?.catch(() => sets.delete(found.id));
      return { version: found.version, id: found.id, createdAt: found.createdAt, etag: etags.get(found.id) ?? null };
    },
    async fetch(version) {
      const fetched = await cache.fetch(await setOf(version));
      etags.set(version.id, fetched.etag);
      return fetched;
    },
    async serves({ version, id, createdAt }) {
      const set = await sets.get(id);
      if (set !== undefined) await cache.note(about, { version, id, createdAt, key: set.key } satisfies NotedVersion);
    },
    async discard(version) {
      const set = sets.get(version.id);
      forget(version.id);
      if (set !== undefined) await cache.discard((await set).key);
    },
    async release(version) {
      const set = await sets.get(version.id)?.catch(() => null);
      if (set != null) cache.release(set.key);
      if (listed?.has(version.id) !== true) forget(version.id);
    },
    // Registry and cache are shared by models; who made them closes them.
    close: async () => {},
  };
}

function nullIfMissing(error: unknown): null {
  if (isMillraceError(error) && error.code === "MODEL_NOT_FOUND") return null;
  throw error;
}
