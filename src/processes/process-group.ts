import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Logger } from "pino";
import { listenFailure } from "../api/listen-failure.ts";
import type { ResolvedConfig } from "../config/config.ts";
import { areShared } from "../config/store-config.ts";
import { millraceError } from "../definitions/errors.ts";
import type { PlanPreview } from "../feature_store/registry/registry.ts";
import { createMetrics } from "../monitoring/metrics.ts";
import { OPENMETRICS } from "../monitoring/negotiate-format.ts";
import { claimFolder, unwind, workerOptions } from "../platform.ts";
import { type ConnectionDealer, type ConnectionTaker, connectionDealer } from "./connection-dealer.ts";
import { createGroupMetrics, type GroupMetrics } from "./group-metrics.ts";
import { type PipelineThread, startPipelineThread } from "./pipeline-thread.ts";
import type {
  GroupMethods,
  ModelAct,
  OfferAnswer,
  OfferedConnection,
  Readiness,
  ServingMethods,
  ServingOptions,
} from "./process-messages.ts";
import { requireKey } from "./require-key.ts";
import { skewLimits, startSkewChecks } from "./skew-checks.ts";
import { callRpc, type RpcClient, type RpcPeer, serveRpc } from "./thread-rpc.ts";
import { watchCertificate } from "./watch-certificate.ts";

export interface ProcessGroupOptions {
  readonly log: Logger;
  /** False: no source is read; events still come over HTTP. Default true. */
  readonly ingest?: boolean;
}

/** Several processes that serve behind one port, and this one, which has the pipeline and watches over them. */
export interface ProcessGroup {
  readonly url: string;
  readonly token: string;
  /** Of the processes that serve now. */
  readonly pids: readonly number[];
  /** Resolves when every view is filled; rejects if the pipeline could not start. */
  ready(): Promise<void>;
  /** Looks at the certificate's files now. Nothing without TLS. */
  reloadCertificate(): Promise<void>;
  /** Replaces one process after the other: the new one serves before the old one drains. */
  recycle(): Promise<void>;
  /** Drains all, hands on what was fetched, makes it durable, closes all. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** One of the places for a process; its label stays when the process is replaced. */
interface Place {
  readonly label: string;
  member: Member | null;
  /** Deaths in a row, each soon after the start. */
  deaths: number;
}

interface Member extends ConnectionTaker {
  /** Unlike a process id, never used again. */
  readonly id: number;
  readonly worker: ChildProcess;
  readonly rpc: RpcClient<ServingMethods>;
  readonly ended: Promise<void>;
  /** It is to end. */
  isLeaving: boolean;
}

/** A process that lives for so long did not die of its start, milliseconds. */
const SETTLED_MS = 10_000;
const MOST_PAUSE_MS = 10_000;
const FILLING = "views are being filled";

/**
 * Starts the pipeline's thread here, and `config.server.processes` processes that serve. Each reads the hot store itself
 * (LMDB lets several processes read) and has its own models; what changes anything goes through this process: pushed
 * events, operators' acts, new declarations. It accepts connections and deals them out in turn. A process that dies is
 * replaced.
 */
export async function openProcessGroup(config: ResolvedConfig, options: ProcessGroupOptions): Promise<ProcessGroup> {
  const { log } = options;
  const token = config.server.adminToken ?? crypto.randomUUID();
  if (config.server.requireKeys) await requireKey(config.server);
  const claim = areShared(config) ? null : await claimFolder(config.data, token);
  const undo: (() => Promise<void>)[] = claim === null ? [] : [() => claim.release()];
  const places: Place[] = Array.from({ length: config.server.processes }, (_, i) => ({
    label: `serve_${i + 1}`,
    member: null,
    deaths: 0,
  }));
  /** What was done to models, the last act of each. */
  const acts = new Map<string, ModelAct>();
  const serving = new Map<string, string>();
  const declarations = config.declarations;
  let appliedHash: string | null = null;
  let revision = 0;
  let turn: Promise<unknown> = Promise.resolve();
  let closing: Promise<void> | null = null;
  const dealer: ConnectionDealer = connectionDealer();
  const children = new Set<ChildProcess>();
  let lastId = 0;
  let readiness: Readiness = { waiting: [FILLING], failure: null };
  try {
    const thread: PipelineThread = await startPipelineThread(
      { ...workerOptions(config), ingest: options.ingest ?? true },
      log,
    );
    undo.push(() => thread.close());
    const { rpc } = thread;
    let isPipelineUp = true;
    const own = createMetrics({ thread: "main", label: "first", pipelineUp: () => isPipelineUp });
    undo.push(async () => own.close());
    const { tls } = config.server;
    let url = "";
    // Looked at here, so that a process that starts while the files are broken gets the last good one.
    const certificate =
      tls === null
        ? null
        : await watchCertificate(tls, {
            async onChange(next, before) {
              await claim?.update(url, next.leaf + before.leaf);
              await Promise.allSettled(members().map((member) => member.rpc.setCertificate(next)));
            },
            isHeld: () => url === "",
            log,
          });
    undo.push(async () => certificate?.close());
    const skewChecks = startSkewChecks({
      check: (filter) => rpc.checkPredictions(filter),
      services: () => (isPipelineUp ? null : []),
      onFailure: (error) => log.warn({ err: error }, "could not compute logged predictions again"),
      ...skewLimits(config.quality),
    });
    undo.push(async () => skewChecks.close());
    const metrics: GroupMetrics = createGroupMetrics({
      first: async () => (await own.render(OPENMETRICS)).body,
      pipeline: async () => (isPipelineUp ? rpc.metrics(OPENMETRICS).catch(() => "") : ""),
    });

    const members = (): Member[] =>
      places.flatMap(({ member }) => (member === null || member.isLeaving ? [] : [member]));
    /** One change at a time; a process that starts meanwhile waits. */
    function inTurn<T>(work: () => Promise<T>): Promise<T> {
      const done = turn.then(work, work);
      turn = done.catch(() => {});
      return done;
    }
    function setReadiness(next: Readiness): void {
      readiness = next;
      for (const member of members()) member.rpc.setReadiness(next).catch(() => {});
    }
    void thread.ended.then((why) => {
      isPipelineUp = false;
      if (closing !== null) return;
      setReadiness({ ...readiness, failure: `The pipeline's thread ended (${why}): no events are taken.` });
      log.error({ reason: why }, "the pipeline's thread ended");
    });

    async function modelAct(from: Member, act: ModelAct): Promise<void> {
      const now = await from.rpc.modelAct(act);
      // The others go to the version that the first one went to: one of them may never have had the one before.
      const same: ModelAct =
        act.act === "rollback" && now !== null ? { act: "go-back", model: act.model, version: now } : act;
      if (same.model !== null && same.act !== "refresh" && same.act !== "load") acts.set(same.model, same);
      if (same.act === "load") acts.delete(same.model);
      const others = members().filter((member) => member !== from);
      const done = await Promise.allSettled(others.map((member) => member.rpc.modelAct(same)));
      for (const one of done) if (one.status === "rejected") throw one.reason;
    }

    async function takeOver(hash: string | null): Promise<PlanPreview> {
      revision++;
      const all = members();
      const preparing = [
        rpc.prepare(declarations, revision),
        ...all.map((m) => m.rpc.prepare(declarations, revision, hash)),
      ] as const;
      const done = await Promise.allSettled(preparing);
      const failed = done.find((one) => one.status === "rejected");
      if (failed !== undefined) {
        await Promise.allSettled(all.map((member) => member.rpc.abandon()));
        throw failed.reason;
      }
      await rpc.change();
      const preview = (done[0] as PromiseFulfilledResult<PlanPreview>).value;
      appliedHash = preview.hash;
      const cleared = Promise.allSettled(all.map((member) => member.rpc.change()));
      const current = revision;
      void cleared
        .then(async () => {
          if (revision === current && closing === null) await rpc.dropOld();
        })
        .catch((error: unknown) => log.error({ err: error }, "could not clear away the old declarations"));
      return preview;
    }

    function methodsOf(member: () => Member, label: string): GroupMethods {
      const groupMethods = {
        groupTakeOver: (hash: string | null) => inTurn(() => takeOver(hash)),
        groupMetrics: (accept: string) =>
          metrics.render(
            accept,
            places.flatMap(({ label: name, member: one }) =>
              one === null ? [] : [{ label: name, process: one.id, metrics: () => one.rpc.metrics() }],
            ),
          ),
        groupModelAct: (act: ModelAct) => inTurn(() => modelAct(member(), act)),
        async swapped(model: string, version: string) {
          if (serving.get(model) === version) return;
          serving.set(model, version);
          await rpc.recordServed(model, version);
          for (const other of members()) {
            if (other !== member()) other.rpc.modelAct({ act: "refresh", model }).catch(() => {});
          }
        },
        keepMetrics: (text: string) => metrics.keep(label, member().id, text),
      };
      return new Proxy(groupMethods as unknown as GroupMethods, {
        get: (own, name: keyof GroupMethods) =>
          Object.hasOwn(own, name)
            ? own[name]
            : (...args: unknown[]) => (rpc[name as "status"] as (...all: unknown[]) => unknown)(...args),
      });
    }

    async function start(place: Place): Promise<Member> {
      const worker = fork(workerFile(), [], { serialization: "advanced" });
      children.add(worker);
      const ended = new Promise<void>((resolve) => worker.once("exit", () => resolve()));
      const peer: RpcPeer = {
        postMessage: (message) => {
          if (worker.connected) worker.send(message as object, () => {});
        },
        on: (event, listener) => worker.on(event as "message", listener),
      };
      const member: Member = {
        id: ++lastId,
        worker,
        rpc: callRpc<ServingMethods>(peer, () => {}),
        ended,
        isLeaving: false,
        offer(id, connection) {
          const message: OfferedConnection = { offered: id };
          // If it cannot be sent the process is ending, and the connection goes to another one then.
          if (worker.connected) worker.send(message, connection, { keepOpen: true }, () => {});
        },
      };
      worker.on("message", (message: OfferAnswer) => {
        if ("answered" in message) dealer.answered(message.answered, message.isTaken);
      });
      serveRpc(
        peer,
        methodsOf(() => member, place.label),
      );
      const startedAt = performance.now();
      worker.once("exit", (code, signal) => {
        children.delete(worker);
        // What it said last may not be read yet.
        if (worker.connected) worker.once("disconnect", () => dealer.gone(member));
        else dealer.gone(member);
        metrics.end(place.label, member.id);
        if (place.member === member) place.member = null;
        if (member.isLeaving || closing !== null) return;
        log.error(
          { pid: worker.pid, code, signal, process: place.label },
          "a serving process ended: another one starts",
        );
        place.deaths = performance.now() - startedAt < SETTLED_MS ? place.deaths + 1 : 0;
        void replace(place);
      });
      metrics.begin(place.label, member.id);
      const options: ServingOptions = {
        config: { ...config, declarations },
        token,
        label: place.label,
        readiness,
        certificate: certificate?.current ?? null,
      };
      const opened = await member.rpc.open(options, [...acts.values()]).catch((error: unknown) => {
        member.isLeaving = true;
        worker.kill("SIGKILL");
        throw error;
      });
      if (appliedHash !== null && opened.planHash !== appliedHash) {
        member.isLeaving = true;
        worker.kill("SIGKILL");
        throw millraceError(
          "PLAN_DIFFERS",
          `The declarations (${declarations.join(", ")}) were changed and not applied, so that no process can be started with the ones that serve: run \`millrace apply\`, or take the change back.`,
          { kind: "operational" },
        );
      }
      appliedHash = opened.planHash;
      await member.rpc.setReadiness(readiness);
      place.member = member;
      // It may have changed while the process started.
      if (certificate !== null) await member.rpc.setCertificate(certificate.current);
      dealer.join(member);
      return member;
    }

    async function replace(place: Place): Promise<void> {
      const pause = place.deaths === 0 ? 0 : Math.min(MOST_PAUSE_MS, 100 * 2 ** place.deaths);
      await new Promise((resolve) => setTimeout(resolve, pause).unref());
      if (closing !== null || place.member !== null) return;
      try {
        await inTurn(() => start(place));
      } catch (error) {
        if (closing !== null) return;
        log.error({ err: error, process: place.label }, "a serving process could not be started");
        place.deaths++;
        void replace(place);
      }
    }

    async function leave(member: Member, label: string): Promise<void> {
      member.isLeaving = true;
      dealer.pause(member);
      try {
        metrics.keep(label, member.id, await member.rpc.drain());
        member.worker.disconnect();
      } catch {
        member.worker.kill("SIGKILL");
      }
      await member.ended;
    }

    await Promise.all(places.map(start));
    undo.push(async () => {
      await Promise.all(places.map(({ member, label }) => (member === null ? null : leave(member, label))));
    });
    url = await listen(dealer, config.server);
    await claim?.update(url, certificate?.current.leaf ?? null);
    const ready = rpc.start().then(
      () => setReadiness({ ...readiness, waiting: [] }),
      (error: unknown) => {
        setReadiness({ waiting: [FILLING], failure: error instanceof Error ? error.message : String(error) });
        throw error;
      },
    );
    ready.catch((error: unknown) => log.error({ err: error }, "not ready"));

    const close = (): Promise<void> => {
      closing ??= (async () => {
        dealer.close();
        await Promise.all(places.map(({ member, label }) => (member === null ? null : leave(member, label))));
        if (isPipelineUp) await rpc.giveUp();
        await turn;
        await unwind(undo, log);
      })();
      return closing;
    };
    return {
      url,
      token,
      get pids() {
        return members().map(({ worker }) => worker.pid!);
      },
      ready: () => ready,
      reloadCertificate: async () => certificate?.look(),
      async recycle() {
        for (const place of places) {
          const before = place.member;
          if (before === null || closing !== null) continue;
          await inTurn(() => start(place));
          await leave(before, place.label);
        }
      },
      close,
      [Symbol.asyncDispose]: close,
    };
  } catch (error) {
    closing ??= Promise.resolve();
    dealer.close();
    for (const child of children) child.kill("SIGKILL");
    await unwind(undo, log);
    throw error;
  }
}

/** @throws `ADDRESS_UNAVAILABLE` */
async function listen(dealer: ConnectionDealer, server: ResolvedConfig["server"]): Promise<string> {
  const { host, port, tls } = server;
  try {
    const taken = await dealer.listen(host, port);
    const named = ["0.0.0.0", "::"].includes(host) ? "127.0.0.1" : host.includes(":") ? `[${host}]` : host;
    return `${tls === null ? "http" : "https"}://${named}:${taken.port}`;
  } catch (cause) {
    throw listenFailure(cause, host, port);
  }
}

/** Beside this file: TypeScript in the repository, JavaScript where it was built. */
function workerFile(): string {
  const typescript = fileURLToPath(new URL("./serving-process.ts", import.meta.url));
  return existsSync(typescript) ? typescript : typescript.replace(/\.ts$/, ".js");
}
