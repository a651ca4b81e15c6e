import { subscribe } from "node:diagnostics_channel";
import type { Socket } from "node:net";
import { join } from "node:path";
import { MODEL_SWAP_CHANNEL, type ModelSwapEvent } from "../api/channels.ts";
import type { ModelHost } from "../api/models/model-host.ts";
import { createPredictionLog } from "../api/models/prediction-log.ts";
import { createApiServer } from "../api/server.ts";
import type { ApiCertificate } from "../api/server-tls.ts";
import { loadDeclarations } from "../config/load-declarations.ts";
import { webhookSecretsOf } from "../config/webhook-secrets.ts";
import { millraceError } from "../definitions/errors.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import { compilePlan, planHash } from "../feature_engineering/plan/plan.ts";
import { debugOnSignal, openLog } from "../monitoring/logging/open-log.ts";
import { secretsOf } from "../monitoring/logging/secrets-of.ts";
import { createMetrics } from "../monitoring/metrics.ts";
import { OPENMETRICS } from "../monitoring/negotiate-format.ts";
import { activeTraceId } from "../monitoring/tracing/active-span.ts";
import { openTracing } from "../monitoring/tracing/open-tracing.ts";
import { openOnlineStore } from "../pipeline/stores.ts";
import { VERSION } from "../version.ts";
import { createGeneration, type Generation } from "./generation.ts";
import type {
  GroupMethods,
  ModelAct,
  OfferAnswer,
  OfferedConnection,
  Readiness,
  ServingMethods,
  ServingOptions,
} from "./process-messages.ts";
import { apiTls } from "./server-certificate.ts";
import { callRpc, type RpcPeer, serveRpc } from "./thread-rpc.ts";

/** How often the metrics are handed on, so that they outlive this process, milliseconds. */
const KEEP_METRICS_MS = 1_000;

/** The other end of `process-group.ts`: one of several processes that serve behind one port. */
const peer: RpcPeer = {
  postMessage(message) {
    // The channel may be gone already: then this process is about to end.
    if (process.connected) process.send!(message, undefined, undefined, () => {});
  },
  on: (event, listener) => process.on(event as "message", listener),
};
// Signals of a terminal reach the whole group; the first process says what is to be done.
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => {});
process.on("disconnect", () => process.exit(0));

const group = callRpc<GroupMethods>(
  { ...peer, on: (event, listener) => event === "message" && peer.on(event, listener) },
  () => {},
);
let opened: Omit<ServingMethods, "open"> | null = null;
const running = (): Omit<ServingMethods, "open"> => {
  if (opened === null) throw millraceError("STARTING", "The process is starting.", { kind: "operational" });
  return opened;
};
serveRpc(peer, {
  async open(options: ServingOptions, acts: readonly ModelAct[]) {
    const { methods, planHash: hash, take } = await open(options, acts);
    opened = methods;
    process.on("message", (message: OfferedConnection, connection?: Socket) => {
      if (!("offered" in message)) return;
      answerOffer(message.offered, connection ?? null, take);
    });
    return { planHash: hash };
  },
  setCertificate: (certificate: ApiCertificate) => running().setCertificate(certificate),
  setReadiness: (readiness: Readiness) => running().setReadiness(readiness),
  metrics: () => running().metrics(),
  modelAct: (act: ModelAct) => running().modelAct(act),
  prepare: (paths: readonly string[], revision: number, hash: string | null) =>
    running().prepare(paths, revision, hash),
  abandon: () => running().abandon(),
  change: () => running().change(),
  drain: () => running().drain(),
} satisfies ServingMethods);

async function open(
  options: ServingOptions,
  acts: readonly ModelAct[],
): Promise<{ methods: Omit<ServingMethods, "open">; planHash: string; take: (connection: Socket) => boolean }> {
  const { config, token } = options;
  const base = { pid: process.pid, process: options.label };
  const secrets = secretsOf(config, process.env);
  const log = openLog({ level: config.logLevel, format: config.logFormat, secrets, base });
  debugOnSignal(log);
  let { readiness } = options;
  const tracing = await openTracing({ env: process.env, thread: options.label, version: VERSION });
  const metrics = createMetrics({ thread: "main", label: options.label, traceId: activeTraceId });
  const rendered = async (): Promise<string> => (await metrics.render(OPENMETRICS)).body;
  const online = await openOnlineStore(config);
  const predictionLog = createPredictionLog({
    online,
    write: (records) => group.appendPredictions(records),
    onFailure: (error) => log.warn({ err: error }, "could not log predictions"),
  });
  const generationOf = (declarations: Declarations): Generation =>
    createGeneration({
      declarations,
      online,
      reads: config.reads,
      models: config.models,
      connections: config.connections,
      modelFolder: join(config.data, "models"),
      predictionLog,
      log,
    });
  let current = generationOf(await loadDeclarations(config.declarations));
  let prepared: Generation | null = null;
  subscribe(MODEL_SWAP_CHANNEL, (message) => {
    const { model, version } = message as ModelSwapEvent;
    group
      .swapped(model, version)
      .catch((error: unknown) => log.warn({ err: error }, "could not tell of a new version"));
  });
  await current.models.start();
  for (const act of acts) {
    await actOn(current.models, act).catch((error: unknown) =>
      log.warn({ err: error, act }, "could not do again what was done to a model"),
    );
  }

  /** What concerns the models of all processes goes by the first one. */
  const asked = (act: ModelAct): Promise<void> => group.groupModelAct(act);
  const ofAll: Pick<ModelHost, "rollback" | "pin" | "refresh" | "load" | "unload"> = {
    rollback: (model) => asked({ act: "rollback", model }),
    pin: (model, version) => asked({ act: "pin", model, version }),
    refresh: (model) => asked({ act: "refresh", model: model ?? null }),
    load: (model) => asked({ act: "load", model }),
    unload: (model) => asked({ act: "unload", model }),
  };
  const hosts = new WeakMap<Generation, ModelHost>();
  const hostOf = (generation: Generation): ModelHost => {
    const known = hosts.get(generation) ?? { ...generation.models, ...ofAll };
    hosts.set(generation, known);
    return known;
  };
  const server = await createApiServer({
    get features() {
      return current.features;
    },
    get models() {
      return hostOf(current);
    },
    get declarations() {
      return current.declarations;
    },
    backend: group,
    takeOver: (hash) => group.groupTakeOver(hash),
    readiness: () => ({
      ready: readiness.waiting.length === 0 && readiness.failure === null,
      reasons: [...readiness.waiting, ...(readiness.failure === null ? [] : [readiness.failure])],
    }),
    metrics: (accept) => group.groupMetrics(accept),
    quality: metrics.quality,
    limits: config.server,
    load: config.server,
    ...(options.certificate === null ? {} : { tls: apiTls(config.server.tls!, options.certificate) }),
    security: { ...config.server, keysFile: config.server.requireKeys ? config.server.keysFile : null },
    defaultModel: config.models.default,
    webhookSecrets: webhookSecretsOf(config),
    log,
    version: VERSION,
    token,
  });
  const keeping = setInterval(() => {
    void rendered().then((text) => group.keepMetrics(text));
  }, KEEP_METRICS_MS);

  return {
    take: (connection) => server.take(connection),
    planHash: planHash(compilePlan(current.declarations)),
    methods: {
      setCertificate: (certificate) => server.setCertificate(certificate),
      setReadiness(next) {
        readiness = next;
      },
      metrics: rendered,
      modelAct: (act) => actOn(current.models, act),
      async prepare(paths, revision, hash) {
        const next = generationOf(await loadDeclarations(paths, revision));
        const found = planHash(compilePlan(next.declarations));
        if (hash !== null && hash !== found) {
          await next.models.close();
          throw millraceError(
            "PLAN_DIFFERS",
            `The plan to be applied has the hash ${hash}, and the declarations that the running processes read (${paths.join(", ")}) have ${found}.`,
            { details: { hash: found } },
          );
        }
        await next.models.start();
        prepared = next;
      },
      async abandon() {
        await prepared?.models.close();
        prepared = null;
      },
      async change() {
        const before = current;
        current = prepared!;
        prepared = null;
        await before.idle();
        await before.models.close();
      },
      async drain() {
        clearInterval(keeping);
        await server.drain();
        await predictionLog.close();
        await current.models.close();
        await online.close();
        await tracing?.close();
        return rendered();
      },
    },
  };
}

/** The answer goes first: whoever has said that it takes a connection may read of it. */
function answerOffer(offered: number, connection: Socket | null, take: (connection: Socket) => boolean): void {
  let isTaken = true;
  // It is none any more if its client left meanwhile.
  if (connection !== null) isTaken = take(connection);
  if (!isTaken) connection?.destroy();
  peer.postMessage({ answered: offered, isTaken } satisfies OfferAnswer);
}

async function actOn(models: ModelHost, act: ModelAct): Promise<string | null> {
  if (act.act === "refresh") await models.refresh(act.model ?? undefined);
  else if (act.act === "pin") await models.pin(act.model, act.version);
  else if (act.act === "go-back") await models.goBack(act.model, act.version);
  else await models[act.act](act.model);
  return act.model === null ? null : (models.get(act.model).serving?.version.version ?? null);
}
