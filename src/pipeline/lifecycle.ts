import type { LifecycleBackend } from "../api/lifecycle-backend.ts";
import type { DeadLetterThresholds } from "../config/dead-letter-config.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { serviceHash } from "../feature_engineering/plan/plan-hash.ts";
import { checkPredictions } from "../feature_store/check-predictions.ts";
import { type ErasureContext, eraseEntity, extendErasures, finishErasures } from "../feature_store/erase-entity.ts";
import type { FeatureStore } from "../feature_store/feature-store.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../feature_store/online/online-store.ts";
import { type PruneReport, type PruneRequest, prune } from "../feature_store/prune.ts";
import { planVersions } from "../feature_store/registry/plan-versions.ts";
import { currentPlan } from "../feature_store/registry/registry.ts";
import { recordServedModel, servedModels } from "../feature_store/registry/served-models.ts";
import { createBackfills } from "./backfills.ts";

export interface LifecycleOptions {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** What is declared now. */
  readonly current: () => { readonly declarations: Declarations; readonly store: FeatureStore };
  /** Sources that Apache Beam reads: only its jobs write their views. Default: none. */
  readonly beam?: readonly string[];
  /** Above which share of bad messages a backfill stops. Default: half of the last 1,000. */
  readonly deadLetters?: DeadLetterThresholds;
  /** Told when work in the background fails; it is tried again. */
  readonly onFailure: (what: string, error: unknown) => void;
}

/** The work on stored data that goes on beside the stream, in the pipeline's thread. */
export interface Lifecycle {
  readonly methods: Omit<LifecycleBackend, "outcomes">;
  /** To be called once the plan is applied, before views are filled from the log. */
  beforeFill(): Promise<void>;
  /** To be called once they are: afterwards no erased entity is readable. */
  afterFill(): Promise<void>;
  close(): Promise<void>;
}

/** How often what is left over is tried again, milliseconds. */
const RETRY_MS = 30_000;
/** How long logged predictions are kept, and how often older ones are looked for, milliseconds. */
const PREDICTION_DAYS = 30;
const TRIM_MS = 3_600_000;

export function createLifecycle(options: LifecycleOptions): Lifecycle {
  const { online, offline, current, beam = [], deadLetters, onFailure } = options;
  const backfills = createBackfills({
    online,
    offline,
    current: () => {
      const { declarations, store } = current();
      return { views: [...store.views.values()], sources: declarations.sources };
    },
    beam,
    deadLetters,
    now: Date.now,
  });
  let retrying: NodeJS.Timeout | null = null;
  let trimming: NodeJS.Timeout | null = null;
  const applied = Promise.withResolvers<void>();
  let work: Promise<unknown> = Promise.resolve();

  function context(): ErasureContext {
    const { declarations, store } = current();
    // Of Beam's views an entity's values are removed; to compute them anew is not for us.
    const views = [...store.views.values()].filter(({ layout }) => !beam.includes(layout.view.source.name));
    return { declarations, views, online, offline, now: Date.now };
  }

  /** Erasures run one after the other: two of them would compute the same values anew. */
  function inTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    const done = work.then(job, job);
    work = done.catch(() => {});
    return done;
  }

  function retry(): void {
    retrying ??= setTimeout(() => {
      retrying = null;
      inTurn(() => finishErasures(context())).then(
        (pending) => {
          if (pending > 0) retry();
        },
        (error: unknown) => {
          onFailure("erasure", error);
          retry();
        },
      );
    }, RETRY_MS).unref();
  }

  /** Predictions are kept for a while only; looked after at each start and then now and then. */
  function trim(): void {
    if (trimming !== null) clearTimeout(trimming);
    trimming = setTimeout(trim, TRIM_MS).unref();
    const removing = offline.removePredictions(Date.now() - PREDICTION_DAYS * 86_400_000);
    removing.catch((error: unknown) => onFailure("prediction log", error));
    work = Promise.allSettled([work, removing]);
  }

  return {
    methods: {
      async erase(entity, key) {
        try {
          const erasure = await inTurn(() => eraseEntity(context(), entity, key));
          if (erasure.pending) retry();
          return erasure;
        } catch (error) {
          retry();
          throw error;
        }
      },
      async erasures() {
        const tombstones = await offline.tombstones();
        return tombstones.map(({ id, entity, until, pendingKey }) => ({
          id,
          entity,
          until,
          pending: pendingKey !== null,
        }));
      },
      backfill: backfills.start,
      backfills: backfills.list,
      stopBackfill: backfills.stop,
      appendPredictions: (records) => offline.appendPredictions(records),
      predictions: (filter) => offline.predictions(filter),
      checkPredictions: (filter) => checkPredictions({ offline, store: current().store, filter }),
      planVersions: () => planVersions(offline),
      prune: (request: PruneRequest): Promise<PruneReport> =>
        inTurn(async () => {
          const declared = [...current().store.views.values()].map(({ keyspace }) => keyspace);
          return prune({ online, offline, declared }, request);
        }),
      servedModels: () => servedModels(offline),
      async recordServed(name, version) {
        const model = current().declarations.models.find((one) => one.name === name);
        if (model === undefined) return;
        // Models may be loaded before the plan is applied.
        await applied.promise;
        const plan = (await currentPlan(offline))?.hash ?? null;
        await recordServedModel(offline, {
          model: name,
          version,
          service: model.service.name,
          serviceHash: serviceHash(model.service),
          planHash: plan,
          servedAt: Date.now(),
        });
      },
    },
    async beforeFill() {
      applied.resolve();
      await extendErasures({ declarations: current().declarations, offline });
    },
    async afterFill() {
      trim();
      if ((await inTurn(() => finishErasures(context()))) > 0) retry();
    },
    async close() {
      if (retrying !== null) clearTimeout(retrying);
      if (trimming !== null) clearTimeout(trimming);
      await backfills.close();
      await work;
    },
  };
}
