import type { ScoringServerLocation } from "../../definitions/model.ts";
import type { LoadedModel } from "./load-model-folder.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";
import type { ScoringOptions } from "./scoring-client.ts";
import { scoringRunner } from "./scoring-runner.ts";

/** A model that a scoring server has: one version, whatever the server does behind it. */
export function scoringModelSource(location: ScoringServerLocation, options: ScoringOptions): ModelSource {
  const { scoring, version: declared } = location;
  let version: ModelVersion | null = null;

  async function load(): Promise<LoadedModel> {
    const started = performance.now();
    const runner = await scoringRunner(scoring, options, declared ?? "live");
    return {
      runner,
      flavor: runner.flavor,
      signature: null,
      inputExample: null,
      millrace: null,
      about: { modelId: null, runId: null, createdAt: null, mlflowVersion: null, libraryVersion: null, metadata: null },
      loadSeconds: (performance.now() - started) / 1_000,
    };
  }

  return {
    async list() {
      if (version === null) {
        const runner = await scoringRunner(scoring, options, declared ?? "live");
        await runner.close();
        const name = declared ?? runner.version ?? "live";
        version = { version: name, id: `${scoring}@${name}`, etag: null, createdAt: null };
      }
      return [version];
    },
    fetch: async () => ({ folder: null, etag: "" }),
    open: load,
    // So that a failure is tried again: the server may have been repaired.
    discard: async () => {},
    close: async () => {},
  };
}
