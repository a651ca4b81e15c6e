import type { Logger } from "pino";
import { createModelHost } from "../api/models/create-model-host.ts";
import type { ModelHost, SoonRequest } from "../api/models/model-host.ts";
import { createModelSources } from "../api/models/model-sources.ts";
import type { PredictionLog } from "../api/models/prediction-log.ts";
import type { ResolvedConfig } from "../config/config.ts";
import { checkCachedViews } from "../config/read-config.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { createFeatureStore, type FeatureStore } from "../feature_store/feature-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import type { OnlineReadOptions } from "../feature_store/online-reader.ts";

/** What serves one set of declarations; that of changed ones follows it. */
export interface Generation {
  readonly declarations: Declarations;
  readonly features: FeatureStore;
  readonly models: ModelHost;
  /** Resolves when nothing that was asked of it is under way. */
  idle(): Promise<void>;
}

export interface GenerationOptions {
  readonly declarations: Declarations;
  readonly online: OnlineStore;
  readonly reads: OnlineReadOptions;
  readonly predictionLog?: PredictionLog;
  readonly models: ResolvedConfig["models"];
  readonly connections: ResolvedConfig["connections"];
  /** Where downloaded models are kept. */
  readonly modelFolder: string;
  readonly log: Logger;
}

export function createGeneration(options: GenerationOptions): Generation {
  const { declarations, online, reads, models, connections, predictionLog, log } = options;
  checkCachedViews(reads, declarations.views);
  let underWay = 0;
  let waiting: (() => void)[] = [];
  const ended = (): void => {
    if (--underWay > 0) return;
    for (const resolve of waiting) resolve();
    waiting = [];
  };
  const counted =
    <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>): ((...args: A) => Promise<R>) =>
    async (...args) => {
      underWay++;
      try {
        return await work(...args);
      } finally {
        ended();
      }
    };
  const store = createFeatureStore({
    ...declarations,
    online,
    offline: null,
    reads,
    now: Date.now,
    onFunctionFailure: (where) => log.debug({ where }, "a function failed on a row"),
  });
  const features: FeatureStore = { ...store, getOnlineFeatures: counted(store.getOnlineFeatures) };
  const sources = createModelSources({
    mlflow: connections.mlflow ?? {},
    scoring: connections.scoring ?? {},
    cacheFolder: options.modelFolder,
    cacheBytes: models.diskBytes,
  });
  const host = createModelHost({
    models: declarations.models,
    sourceOf: sources.sourceOf,
    features,
    ...models,
    ...(predictionLog === undefined ? {} : { predictionLog }),
    log,
    now: Date.now,
    warmThreads: true,
  });
  const close = async (): Promise<void> => {
    await host.close();
    await sources.close();
  };
  return {
    declarations,
    features,
    models: {
      ...host,
      predict: counted(host.predict),
      predictSoon(name, request, startedAt) {
        const counting: SoonRequest = {
          ...request,
          answered(prediction) {
            ended();
            request.answered(prediction);
          },
          failed(error) {
            ended();
            request.failed(error);
          },
        };
        const isBegun = host.predictSoon(name, counting, startedAt);
        if (isBegun) underWay++;
        return isBegun;
      },
      fitted: counted(host.fitted),
      close,
      [Symbol.asyncDispose]: close,
    },
    async idle() {
      if (underWay > 0) await new Promise<void>((resolve) => waiting.push(resolve));
    },
  };
}
