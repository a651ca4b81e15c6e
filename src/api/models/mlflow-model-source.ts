import type { MlflowModelLocation } from "../../definitions/model.ts";
import type { ArtifactCache } from "./artifact-cache.ts";
import type { ArtifactSet } from "./artifact-set.ts";
import type { MlflowRegistry, RegisteredVersion } from "./mlflow-registry.ts";
import { modelError } from "./model-errors.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";

/** The versions of a registered model of MLflow; their files come by way of the cache. */
export function mlflowModelSource(
  { name, follow }: MlflowModelLocation,
  registry: MlflowRegistry,
  cache: ArtifactCache,
): ModelSource {
  let listed = new Map<string, RegisteredVersion>();
  /** Asked once per version: where its files are does not change. */
  const sets = new Map<string, Promise<ArtifactSet>>();
  const etags = new Map<string, string>();

  function setOf({ id, version }: ModelVersion): Promise<ArtifactSet> {
    const known = sets.get(id);
    if (known !== undefined) return known;
    const registered = listed.get(id);
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

  return {
    async list() {
      const versions = await registry.versions(name, follow);
      listed = new Map(versions.map((version) => [version.id, version]));
      return versions.map(({ version, id, createdAt }) => ({ version, id, createdAt, etag: etags.get(id) ?? null }));
    },
    async fetch(version) {
      const fetched = await cache.fetch(await setOf(version));
      etags.set(version.id, fetched.etag);
      return fetched;
    },
    async discard(version) {
      const set = sets.get(version.id);
      sets.delete(version.id);
      etags.delete(version.id);
      if (set !== undefined) await cache.discard((await set).key);
    },
    async release(version) {
      const set = await sets.get(version.id)?.catch(() => null);
      if (set != null) cache.release(set.key);
    },
    // Registry and cache are shared by models; who made them closes them.
    close: async () => {},
  };
}
