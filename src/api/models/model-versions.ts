import { channel } from "node:diagnostics_channel";
import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { MODEL_LOAD_CHANNEL, MODEL_SWAP_CHANNEL, type ModelLoadEvent, type ModelSwapEvent } from "../channels.ts";
import { modelError } from "./model-errors.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";
import { loadServedModel, type ServedModel } from "./served-model.ts";

/** A version that serves or served, whether its model is in memory or not. */
export interface VersionSlot {
  readonly version: ModelVersion;
  /** Null while it is not in memory. */
  resident: ServedModel | null;
  /** Requests that use it now: it is not freed before they end. */
  inFlight: number;
  /** Nobody will ask for it again. */
  isRetired: boolean;
  /** Monotonic clock, milliseconds. */
  usedAt: number;
  /** Epoch milliseconds. */
  loadedAt: number;
  readonly loadSeconds: number;
  readonly sizeBytes: number;
  readonly flavor: string;
}

/** What is known of a version that could not be loaded. */
export interface VersionFailure {
  readonly version: string;
  readonly code: string;
  readonly message: string;
  /** Epoch milliseconds. */
  readonly at: number;
}

/** The versions of one model: which one serves, which one did before, which ones are bad. */
export interface ModelVersions {
  readonly model: ModelMeta;
  readonly service: ServiceRuntime;
  readonly serving: VersionSlot | null;
  readonly previous: VersionSlot | null;
  readonly pinned: string | null;
  readonly known: readonly ModelVersion[];
  readonly lastFailure: VersionFailure | null;
  failureOf(version: ModelVersion): VersionFailure | null;
  /** The serving version, in memory, counted as in use until `release`. @throws `MODEL_NOT_READY` */
  acquire(): VersionSlot | Promise<VersionSlot>;
  release(slot: VersionSlot): void;
  /** Looks for a newer version, and serves it if it is good. Never rejects: what failed is in `lastFailure`. */
  update(): Promise<void>;
  /** Serves the previous version again; the one left is not taken again. @throws `MODEL_NO_PREVIOUS` */
  rollback(): Promise<void>;
  /** Serves that version until told otherwise; null goes back to the newest. @throws `MODEL_VERSION_UNKNOWN`, load errors */
  pin(version: string | null): Promise<void>;
  /** Frees the memory of a version, which is loaded again when it is asked for. */
  evict(slot: VersionSlot): void;
  close(): Promise<void>;
}

export interface ModelVersionsOptions {
  readonly model: ModelMeta;
  readonly service: ServiceRuntime;
  readonly source: ModelSource;
  readonly now: () => number;
  /** Called after a version came into memory. */
  readonly onLoaded: (slot: VersionSlot) => void;
  readonly onFailed: (failure: VersionFailure, error: unknown) => void;
}

const loads = channel(MODEL_LOAD_CHANNEL);
const swaps = channel(MODEL_SWAP_CHANNEL);

export function createModelVersions(options: ModelVersionsOptions): ModelVersions {
  const { model, service, source, now } = options;
  let serving: VersionSlot | null = null;
  let previous: VersionSlot | null = null;
  let pinned: string | null = null;
  let known: readonly ModelVersion[] = [];
  let lastFailure: VersionFailure | null = null;
  /** By id: versions whose content is bad, which only new content can change. */
  const bad = new Map<string, VersionFailure>();
  /** Ids of versions that were rolled back. */
  const left = new Set<string>();
  /** Ids of versions that were listed after the serving one. */
  let older: ReadonlySet<string> = new Set();
  let turn: Promise<unknown> = Promise.resolve();
  let isClosed = false;

  /** One change at a time: loads of one model never overlap. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = turn.then(work, work);
    turn = done.catch(() => {});
    return done;
  }

  async function load(version: ModelVersion): Promise<ServedModel> {
    const started = performance.now();
    let outcome = "ok";
    let sizeBytes: number | null = null;
    try {
      const served = await loadServedModel(model, service, source, version);
      sizeBytes = served.loaded.runner.sizeBytes;
      return served;
    } catch (error) {
      outcome = isMillraceError(error) ? error.code : "INTERNAL";
      const message = error instanceof Error ? error.message : String(error);
      lastFailure = { version: version.version, code: outcome, message, at: now() };
      if (isMillraceError(error) && error.kind === "user") bad.set(version.id, lastFailure);
      options.onFailed(lastFailure, error);
      throw error;
    } finally {
      const seconds = (performance.now() - started) / 1_000;
      loads.publish({
        model: model.name,
        version: version.version,
        seconds,
        outcome,
        sizeBytes,
      } satisfies ModelLoadEvent);
    }
  }

  async function open(version: ModelVersion): Promise<VersionSlot> {
    const started = performance.now();
    const resident = await load(version);
    const slot: VersionSlot = {
      version: resident.version,
      resident,
      inFlight: 0,
      isRetired: false,
      usedAt: performance.now(),
      loadedAt: now(),
      loadSeconds: (performance.now() - started) / 1_000,
      sizeBytes: resident.loaded.runner.sizeBytes,
      flavor: resident.loaded.flavor,
    };
    if (isClosed) retire(slot);
    return slot;
  }

  function retire(slot: VersionSlot | null): void {
    if (slot === null) return;
    slot.isRetired = true;
    free(slot);
  }

  function free(slot: VersionSlot): void {
    if (slot.inFlight > 0) return;
    const { resident } = slot;
    slot.resident = null;
    void resident?.loaded.runner.close();
  }

  function serve(next: VersionSlot): void {
    const before = serving;
    if (before === next) return;
    if (previous !== null && previous !== next) retire(previous);
    previous = before;
    serving = next;
    noteOlder();
    swaps.publish({
      model: model.name,
      version: next.version.version,
      previous: before?.version.version ?? null,
    } satisfies ModelSwapEvent);
    options.onLoaded(next);
  }

  /** The versions that may replace the serving one, best first. */
  function candidates(): readonly ModelVersion[] {
    if (serving === null) return known;
    const at = known.findIndex((version) => version.id === serving?.version.id);
    if (at >= 0) return known.slice(0, at);
    // Its folder is gone, or is being replaced: what was older than it stays so.
    return known.filter((version) => !older.has(version.id));
  }

  function noteOlder(): void {
    const at = known.findIndex((version) => version.id === serving?.version.id);
    if (at >= 0) older = new Set(known.slice(at + 1).map((version) => version.id));
  }

  async function update(): Promise<void> {
    try {
      known = await source.list();
    } catch (error) {
      const code = isMillraceError(error) ? error.code : "INTERNAL";
      const message = error instanceof Error ? error.message : String(error);
      const isNew = lastFailure?.message !== message;
      lastFailure = { version: "", code, message, at: now() };
      if (isNew) options.onFailed(lastFailure, error);
      return;
    }
    const listed = new Set(known.map((version) => version.id));
    for (const id of bad.keys()) if (!listed.has(id)) bad.delete(id);
    for (const id of left) if (!listed.has(id)) left.delete(id);
    noteOlder();
    if (pinned !== null) return;
    for (const version of candidates()) {
      if (isClosed) return;
      if (bad.has(version.id) || left.has(version.id)) continue;
      try {
        serve(await open(version));
        return;
      } catch {
        // Kept in `lastFailure`; an older version that is newer than the serving one may do.
      }
    }
  }

  /** Brings the serving version back into memory. */
  async function reload(): Promise<VersionSlot> {
    for (;;) {
      const slot = serving;
      if (slot === null || isClosed) throw notReady(model, lastFailure);
      if (slot.resident === null) {
        await inTurn(async () => {
          if (slot.resident !== null || slot.isRetired) return;
          try {
            slot.resident = await load(slot.version);
          } catch (cause) {
            throw notReady(model, lastFailure, cause);
          }
          slot.usedAt = performance.now();
          slot.loadedAt = now();
          options.onLoaded(slot);
        });
      }
      // Another version may serve by now.
      if (slot === serving && slot.resident !== null) return take(slot);
    }
  }

  function take(slot: VersionSlot): VersionSlot {
    slot.inFlight++;
    slot.usedAt = performance.now();
    return slot;
  }

  return {
    model,
    service,
    get serving() {
      return serving;
    },
    get previous() {
      return previous;
    },
    get pinned() {
      return pinned;
    },
    get known() {
      return known;
    },
    get lastFailure() {
      return lastFailure;
    },
    failureOf: (version) => bad.get(version.id) ?? null,
    acquire() {
      if (serving === null) throw notReady(model, lastFailure);
      return serving.resident === null ? reload() : take(serving);
    },
    release(slot) {
      slot.inFlight--;
      if (slot.isRetired) free(slot);
    },
    update: () => inTurn(update),
    rollback: () =>
      inTurn(async () => {
        if (serving === null || previous === null) {
          throw modelError(
            "MODEL_NO_PREVIOUS",
            `Model '${model.name}' has no version to go back to: ${serving === null ? "none serves" : `${serving.version.version} is the first that serves since the start`}. Pin a version instead.`,
          );
        }
        const target = previous;
        target.resident ??= await load(target.version);
        left.add(serving.version.id);
        left.delete(target.version.id);
        if (pinned !== null) pinned = target.version.version;
        serve(target);
      }),
    pin: (name) =>
      inTurn(async () => {
        if (name === null) {
          pinned = null;
          left.clear();
          return update();
        }
        known = await source.list();
        const held = [serving, previous].find((slot) => slot?.version.version === name);
        const version = known.find((candidate) => candidate.version === name) ?? held?.version;
        if (version === undefined) {
          throw modelError(
            "MODEL_VERSION_UNKNOWN",
            `Model '${model.name}' has no version '${name}': there are ${known.map((v) => v.version).join(", ") || "none"}.`,
            { details: { model: model.name, version: name } },
          );
        }
        if (held?.version.id === version.id) held.resident ??= await load(version);
        serve(held?.version.id === version.id ? held : await open(version));
        pinned = name;
      }),
    evict(slot) {
      if (slot.inFlight === 0) free(slot);
    },
    async close() {
      isClosed = true;
      retire(serving);
      retire(previous);
      serving = null;
      previous = null;
      await turn;
      await source.close();
    },
  };
}

function notReady(model: ModelMeta, failure: VersionFailure | null, cause?: unknown): MillraceError {
  // The failure's own message may hold paths of the server, which are for its operator: GET /v1/models shows them.
  const why = failure === null ? "it is being loaded, or has none yet" : `the last attempt failed (${failure.code})`;
  return modelError(
    "MODEL_NOT_READY",
    `No version of model '${model.name}' can answer: ${why}. Try again in a moment.`,
    {
      kind: "operational",
      cause,
      details: { model: model.name, ...(failure === null ? {} : { reason: failure.code }) },
    },
  );
}
