import type { ModelMeta } from "../../definitions/model.ts";
import { type ArtifactCache, artifactCache } from "./artifact-cache.ts";
import { folderModelSource } from "./folder-model-source.ts";
import { mlflowFileRegistry } from "./mlflow-file-registry.ts";
import { mlflowModelSource } from "./mlflow-model-source.ts";
import type { MlflowOptions, MlflowRegistry } from "./mlflow-registry.ts";
import { mlflowServerRegistry } from "./mlflow-server-registry.ts";
import { modelError } from "./model-errors.ts";
import type { ModelSource } from "./model-source.ts";

export interface ModelSourcesOptions {
  /** By the name that models give. */
  readonly mlflow: Readonly<Record<string, MlflowOptions>>;
  /** Of downloaded files alone; other processes may share it. */
  readonly cacheFolder: string;
  /** The most that downloaded files may take on disk. */
  readonly cacheBytes: number;
}

/** Where the versions of declared models come from. */
export interface ModelSources {
  /** @throws `MODEL_SERVER_UNKNOWN` if the configuration has no such server */
  sourceOf(model: ModelMeta): ModelSource;
  close(): Promise<void>;
}

export function createModelSources(options: ModelSourcesOptions): ModelSources {
  const registries = new Map<string, MlflowRegistry>();
  let cache: ArtifactCache | null = null;

  function registryOf(server: string): MlflowRegistry {
    const known = registries.get(server);
    if (known !== undefined) return known;
    const found = Object.hasOwn(options.mlflow, server) ? options.mlflow[server] : undefined;
    if (found === undefined) {
      throw modelError(
        "MODEL_SERVER_UNKNOWN",
        `A model comes from the MLflow server '${server}', and the configuration does not say where it is: set connections.mlflow.${server}.url${server === "default" ? ", or the variable MILLRACE_MLFLOW_URL" : ""}.`,
        { details: { server } },
      );
    }
    const registry = /^https?:/.test(found.url) ? mlflowServerRegistry(found) : mlflowFileRegistry(found.url);
    registries.set(server, registry);
    return registry;
  }

  return {
    sourceOf({ location }) {
      if (location.location === "folder") return folderModelSource({ path: location.path });
      cache ??= artifactCache({ folder: options.cacheFolder, maxBytes: options.cacheBytes });
      return mlflowModelSource(location, registryOf(location.server), cache);
    },
    async close() {
      for (const registry of registries.values()) registry.close();
      cache?.close();
    },
  };
}
