import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Logger } from "pino";
import { MODEL_SWAP_CHANNEL, type ModelSwapEvent } from "./api/channels.ts";
import type { ModelHost } from "./api/models/model-host.ts";
import { createPredictionLog } from "./api/models/prediction-log.ts";
import { type ApiServer, createApiServer } from "./api/server.ts";
import type { ResolvedConfig } from "./config/config.ts";
import { loadDeclarations } from "./config/load-declarations.ts";
import { nextRevision } from "./config/module-loader.ts";
import { areShared } from "./config/store-config.ts";
import { webhookSecretsOf } from "./config/webhook-secrets.ts";
import { millraceError } from "./definitions/errors.ts";
import type { Declarations } from "./feature_engineering/plan/collect-declarations.ts";
import { compilePlan, planHash } from "./feature_engineering/plan/plan.ts";
import type { FeatureStore } from "./feature_store/feature-store.ts";
import type { PlanPreview } from "./feature_store/registry/registry.ts";
import { mergeExpositions } from "./monitoring/merge-expositions.ts";
import { createMetrics } from "./monitoring/metrics.ts";
import { activeTraceId } from "./monitoring/tracing/active-span.ts";
import { openTracing } from "./monitoring/tracing/open-tracing.ts";
import { openOnlineStore } from "./pipeline/stores.ts";
import { createGeneration, type Generation } from "./processes/generation.ts";
import { startPipelineThread } from "./processes/pipeline-thread.ts";
import { claimDataFolder, type DataFolderClaim } from "./processes/process-file.ts";
import { requireKey } from "./processes/require-key.ts";
import { apiTls } from "./processes/server-certificate.ts";
import { loggedServices, skewLimits, startSkewChecks } from "./processes/skew-checks.ts";
import type { RpcClient } from "./processes/thread-rpc.ts";
import { watchCertificate } from "./processes/watch-certificate.ts";
import type { WorkerMethods, WorkerOptions } from "./processes/worker-methods.ts";
import { VERSION } from "./version.ts";

export interface PlatformOptions {
  readonly log: Logger;
  /** False: no source is read; events still come over HTTP. Default true. */
  readonly ingest?: boolean;
  /** False: it is ready before sources that begin at a moment have caught up. Default true. */
  readonly catchUp?: boolean;
  /** Of the declarations' modules, see `module-loader.ts`. Default 0: as they were first imported. */
  readonly revision?: number;
  /** True: it serves the command that opened it, which has the token, so that no API key has to be there. */
  readonly isPrivate?: boolean;
}

export interface TakeOverOptions {
  /** Take the declarations over only if their plan has this hash. */
  readonly hash?: string | null;
  /** Other modules than before. */
  readonly declarations?: readonly string[];
}

/** A running Millrace: this thread serves and reads, another one has the write side. */
export interface Platform {
  readonly url: string;
  readonly config: ResolvedConfig;
  readonly declarations: Declarations;
  readonly features: FeatureStore;
  readonly models: ModelHost;
  readonly worker: RpcClient<WorkerMethods>;
  /** What admin routes ask for; also in the data folder's private file. */
  readonly token: string;
  /** Resolves when every view is filled and every model was tried; rejects if the pipeline could not start. */
  ready(): Promise<void>;
  /**
   * Reads the declarations' files again, fills their new views from history and loads their models, and goes on with
   * them; what was there before serves until then, and on if anything is refused.
   * @throws `DECLARATIONS_INVALID`, `PLAN_BREAKING`, `PLAN_DIFFERS`
   */
  takeOver(options?: TakeOverOptions): Promise<PlanPreview>;
  /** Looks at the certificate's files now. Nothing without TLS. */
  reloadCertificate(): Promise<void>;
  /** Answers 503 on /readyz, finishes what is in flight, hands on what was fetched, makes it durable, closes all. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

const CATCHING_UP = "sources that begin at a moment are catching up";

/** Opens the stores, starts the pipeline's thread and the HTTP server. Serves at once; `ready` says when all is filled. */
export async function openPlatform(config: ResolvedConfig, options: PlatformOptions): Promise<Platform> {
  const { log } = options;
  const declarations = await loadDeclarations(config.declarations, options.revision);
  const token = config.server.adminToken ?? crypto.randomUUID();
  if (config.server.requireKeys && options.isPrivate !== true) await requireKey(config.server);
  const claim = areShared(config) ? null : await claimFolder(config.data, token);
  const undo: (() => Promise<void>)[] = claim === null ? [] : [() => claim.release()];
  try {
    let failure: unknown = null;
    let isPipelineUp = true;
    const tracing = await openTracing({ env: process.env, thread: "main", version: VERSION });
    if (tracing !== null) undo.push(() => tracing.close());
    const metrics = createMetrics({ thread: "main", pipelineUp: () => isPipelineUp, traceId: activeTraceId });
    undo.push(async () => metrics.close());
    const thread = await startPipelineThread({ ...workerOptions(config), ingest: options.ingest ?? true }, log);
    undo.push(() => thread.close());
    const { rpc } = thread;
    const online = await openOnlineStore(config);
    undo.push(() => online.close());
    const predictionLog = createPredictionLog({
      online,
      write: (records) => rpc.appendPredictions(records),
      onFailure: (error) => log.warn({ err: error }, "could not log predictions"),
    });
    undo.push(() => predictionLog.close());
    const generationOf = (of: Declarations): Generation =>
      createGeneration({
        declarations: of,
        online,
        reads: config.reads,
        models: config.models,
        connections: config.connections,
        modelFolder: join(config.data, "models"),
        predictionLog,
        log,
      });
    let current = generationOf(declarations);
    undo.push(() => current.models.close());
    const skewChecks = startSkewChecks({
      check: (filter) => rpc.checkPredictions(filter),
      services: () => (isPipelineUp ? loggedServices(current.declarations.models) : []),
      onFailure: (error) => log.warn({ err: error }, "could not compute logged predictions again"),
      ...skewLimits(config.quality),
    });
    undo.push(async () => skewChecks.close());

    const waiting = new Set(["views are being filled", "models are being loaded", CATCHING_UP]);
    const readiness = (): { ready: boolean; reasons: readonly string[] } => ({
      ready: waiting.size === 0 && failure === null,
      reasons: [
        ...waiting,
        ...(failure === null ? [] : [failure instanceof Error ? failure.message : String(failure)]),
      ],
    });
    let closing: Promise<void> | null = null;
    void thread.ended.then((why) => {
      isPipelineUp = false;
      if (closing !== null) return;
      failure ??= millraceError("THREAD_DIED", `The pipeline's thread ended (${why}): no events are taken.`);
      log.error({ reason: why }, "the pipeline's thread ended");
    });

    let latest = 0;
    let taking: Promise<unknown> = Promise.resolve();
    async function replace({
      hash = null,
      declarations: paths = config.declarations,
    }: TakeOverOptions): Promise<PlanPreview> {
      if (closing !== null) throw millraceError("STOPPING", "The process is stopping.", { kind: "operational" });
      await ready;
      const revision = nextRevision();
      latest = revision;
      const before = current;
      const next = generationOf(await loadDeclarations(paths, revision));
      try {
        const found = planHash(compilePlan(next.declarations));
        if (hash !== null && hash !== found) {
          throw millraceError(
            "PLAN_DIFFERS",
            `The plan to be applied has the hash ${hash}, and the declarations that the running process reads (${paths.join(", ")}) have ${found}: apply from a folder with the same files, or restart that process with yours.`,
            { details: { hash: found } },
          );
        }
        const [preview] = await Promise.all([rpc.prepare(paths, revision), next.models.start()]);
        await rpc.change();
        current = next;
        clearAway(before, revision);
        return preview;
      } catch (error) {
        await next.models.close();
        throw error;
      }
    }
    /** Once nothing that is under way reads what the old declarations have. */
    function clearAway(old: Generation, replacedBy: number): void {
      const cleared = async (): Promise<void> => {
        await old.idle();
        await old.models.close();
        // Later declarations clear away what these leave, when nothing reads it any more.
        if (latest === replacedBy && closing === null) await rpc.dropOld();
      };
      cleared().catch((error: unknown) => log.error({ err: error }, "could not clear away the old declarations"));
    }
    const takeOver = (takeOverOptions: TakeOverOptions = {}): Promise<PlanPreview> => {
      const taken = taking.then(() => replace(takeOverOptions));
      taking = taken.catch(() => {});
      return taken;
    };

    const { tls } = config.server;
    const certificate =
      tls === null
        ? null
        : await watchCertificate(tls, {
            async onChange(next, before) {
              // A command that connects at this moment may be shown either.
              await claim?.update(url, next.leaf + before.leaf);
              server.setCertificate(next);
            },
            isHeld: () => url === "",
            log,
          });
    undo.push(async () => certificate?.close());
    let url = "";
    const server: ApiServer = await createApiServer({
      get features() {
        return current.features;
      },
      get models() {
        return current.models;
      },
      get declarations() {
        return current.declarations;
      },
      backend: rpc,
      takeOver: (hash) => takeOver({ hash }),
      readiness,
      metrics: async (accept) => {
        // If the thread died, or dies meanwhile, its part is missing, and a metric says so.
        const pipelines = isPipelineUp ? await rpc.metrics(accept).catch(() => "") : "";
        const own = await metrics.render(accept);
        return { ...own, body: mergeExpositions(own.body, pipelines) };
      },
      quality: metrics.quality,
      limits: config.server,
      load: config.server,
      ...(tls === null ? {} : { tls: apiTls(tls, certificate!.current) }),
      security: { ...config.server, keysFile: config.server.requireKeys ? config.server.keysFile : null },
      defaultModel: config.models.default,
      webhookSecrets: webhookSecretsOf(config),
      log,
      version: VERSION,
      token,
    });
    undo.push(() => server.close());
    ({ url } = await server.listen({ host: config.server.host, port: config.server.port }));
    await claim?.update(url, certificate?.current.leaf ?? null);

    const noteServed = (message: unknown): void => {
      const { model, version } = message as ModelSwapEvent;
      rpc
        .recordServed(model, version)
        .catch((error: unknown) => log.warn({ err: error }, "could not note a served model"));
    };
    subscribe(MODEL_SWAP_CHANNEL, noteServed);
    undo.push(async () => {
      unsubscribe(MODEL_SWAP_CHANNEL, noteServed);
    });
    const filled = rpc.start().then(() => waiting.delete("views are being filled"));
    const loaded = current.models.start().then(() => waiting.delete("models are being loaded"));
    const caughtUp = filled
      .then(() => (options.catchUp === false ? undefined : rpc.caughtUp()))
      .then(() => waiting.delete(CATCHING_UP));
    const ready = Promise.all([filled, loaded, caughtUp]).then(
      () => {},
      (error: unknown) => {
        failure = error;
        throw error;
      },
    );
    ready.catch((error: unknown) => log.error({ err: error }, "not ready"));

    const close = (): Promise<void> => {
      closing ??= (async () => {
        await server.drain();
        if (isPipelineUp) await rpc.giveUp().catch(() => {});
        await taking;
        await unwind(undo, log);
      })();
      return closing;
    };
    return {
      url,
      config,
      get declarations() {
        return current.declarations;
      },
      get features() {
        return current.features;
      },
      get models() {
        return current.models;
      },
      worker: rpc,
      token,
      ready: () => ready,
      takeOver,
      reloadCertificate: async () => certificate?.look(),
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    await unwind(undo, log);
    throw error;
  }
}

export function workerOptions({
  declarations,
  data,
  online,
  offline,
  replay,
  connections,
  retention,
  deadLetters,
  history,
  beam,
  quality,
}: ResolvedConfig): Omit<WorkerOptions, "ingest"> {
  return {
    declarations,
    data,
    online,
    offline,
    replay,
    connections,
    retention,
    deadLetters,
    history,
    beam: beam.sources,
    outcomeSeconds: quality.outcomeSeconds,
  };
}

/** Embedded stores have one owner. */
export async function claimFolder(data: string, token: string): Promise<DataFolderClaim> {
  await mkdir(data, { recursive: true, mode: 0o700 }).catch((error: unknown) => {
    throw millraceError(
      "DATA_FOLDER_UNWRITABLE",
      `The data folder ${data} cannot be made: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  });
  return claimDataFolder(data, { pid: process.pid, url: null, token });
}

export async function unwind(undo: (() => Promise<void>)[], log: Logger): Promise<void> {
  for (const step of undo.splice(0).reverse()) {
    await step().catch((error: unknown) => log.error({ err: error }, "could not close cleanly"));
  }
}
