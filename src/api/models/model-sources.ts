import type { ModelMeta } from "../../definitions/model.ts";
import { type ArtifactCache, artifactCache } from "./artifact-cache.ts";
import { folderModelSource } from "./folder-model-source.ts";
import { functionModelSource } from "./function-model-source.ts";
import { mlflowFileRegistry } from "./mlflow-file-registry.ts";
import { mlflowModelSource } from "./mlflow-model-source.ts";
import type { MlflowOptions, MlflowRegistry } from "./mlflow-registry.ts";
import { mlflowServerRegistry } from "./mlflow-server-registry.ts";
import { modelError } from "./model-errors.ts";
import type { ModelSource } from "./model-source.ts";
import type { ScoringOptions } from "./scoring-client.ts";
import { scoringModelSource } from "./scoring-model-source.ts";

export interface ModelSourcesOptions {
  /** By the name that models give. */
  readonly mlflow: Readonly<Record<string, MlflowOptions>>;
  /** By the name that models give. */
  readonly scoring: Readonly<Record<string, ScoringOptions>>;
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

  function scoringOf(server: string): ScoringOptions {
    const found = Object.hasOwn(options.scoring, server) ? options.scoring[server] : undefined;
    if (found !== undefined) return found;
    throw modelError(
      "MODEL_SERVER_UNKNOWN",
      `A model is predicted by the scoring server '${server}', and the configuration does not say where it is: set connections.scoring.${server}.url${server === "default" ? ", or the variable MILLRACE_SCORING_URL" : ""}.`,
      { details: { server } },
    );
  }

  function scored(source: ModelSource, server: string | null): ModelSource {
    if (server === null) return source;
    const found = scoringOf(server);
    return { ...source, scoring: ({ version }) => ({ scoring: { server, options: found, version } }) };
  }

  return {
    sourceOf(model) {
      const { location } = model;
      switch (location.location) {
        case "function":
          return functionModelSource(model);
        case "scoring_server":
          return scoringModelSource(location, scoringOf(location.scoring));
        case "folder":
          return scored(folderModelSource({ path: location.path }), location.scoring);
        case "mlflow":
          cache ??= artifactCache({ folder: options.cacheFolder, maxBytes: options.cacheBytes });
          return scored(mlflowModelSource(location, registryOf(location.server), cache), location.scoring);
      }
    },
    async close() {
      for (const registry of registries.values()) registry.close();
      cache?.close();
    },
  };
}
