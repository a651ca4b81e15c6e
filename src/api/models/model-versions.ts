import { channel } from "node:diagnostics_channel";
import { isMillraceError, type MillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { MODEL_SWAP_CHANNEL, MODEL_UPDATE_CHANNEL, type ModelSwapEvent, type ModelUpdateEvent } from "../channels.ts";
import { loadRetries } from "./load-retries.ts";
import { modelError } from "./model-errors.ts";
import type { ModelVersion } from "./model-source.ts";
import { notReady, unloaded } from "./not-ready.ts";
import { oneAtATime } from "./one-at-a-time.ts";
import type { ServedModel } from "./served-model.ts";
import { type VersionFailure, type VersionLoaderOptions, type VersionSlot, versionLoader } from "./version-loader.ts";

/**
 * Why new versions are looked for: the time for it came, the registry said that there may be some, or an operator asks
 * for it. What failed for the moment is tried again before its pause is over if the registry said so, and what proved
 * bad if an operator asks.
 */
export type UpdateCause = "poll" | "told" | "asked";

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
  /** True after `unload`: nothing answers until `load`. */
  readonly isUnloaded: boolean;
  /** A version that should serve cannot be loaded, or the versions cannot be listed. */
  readonly isFailing: boolean;
  /** Looks for a newer version, and serves it if it is good. Never rejects: what failed is in `lastFailure`. */
  update(cause: UpdateCause): Promise<void>;
  /** Looks for new versions now, and brings the serving one into memory. @throws `MODEL_NOT_READY` */
  load(): Promise<void>;
  /** Frees the memory; requests are refused until `load`. */
  unload(): void;
  /** Serves the previous version again; the one left is not taken again. @throws `MODEL_NO_PREVIOUS` */
  rollback(): Promise<void>;
  /**
   * What `rollback` does, to a version that another process went back to. @throws `MODEL_VERSION_UNKNOWN`, load errors
   */
  goBack(version: string): Promise<void>;
  /** Serves that version until told otherwise; null goes back to the newest. @throws `MODEL_VERSION_UNKNOWN`, load errors */
  pin(version: string | null): Promise<void>;
  /** Frees the memory of a version, which is loaded again when it is asked for. */
  evict(slot: VersionSlot): void;
  close(): Promise<void>;
}

export interface ModelVersionsOptions extends VersionLoaderOptions {
  /** Called after a version came into memory. */
  readonly onLoaded: (slot: VersionSlot) => void;
}

const swaps = channel(MODEL_SWAP_CHANNEL);
const updates = channel(MODEL_UPDATE_CHANNEL);

export function createModelVersions(options: ModelVersionsOptions): ModelVersions {
  const { model, service, source, now } = options;
  let serving: VersionSlot | null = null;
  let previous: VersionSlot | null = null;
  let pinned: string | null = null;
  let known: readonly ModelVersion[] = [];
  /** Ids of versions that were rolled back. */
  const left = new Set<string>();
  /** Ids of versions that were listed after the serving one. */
  let older: ReadonlySet<string> = new Set();
  const loader = versionLoader(options);
  const { retries, load, open, noteFailure } = loader;
  const listRetries = loadRetries(false);
  /** Counts what operators decided: an update that began before gives way. */
  let decisions = 0;
  let isFailing = false;
  let isUnloaded = false;
  let isClosed = false;
  const inUpdateTurn = oneAtATime();
  const inOperatorTurn = oneAtATime();
  let waitingUpdate: { readonly done: Promise<void>; cause: UpdateCause } | null = null;

  function retire(slot: VersionSlot | null): void {
    if (slot === null) return;
    slot.isRetired = true;
    free(slot);
    void source.release?.(slot.version).catch(() => {});
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
    void source.serves?.(next.version).catch(() => {});
    swaps.publish({
      model: model.name,
      version: next.version.version,
      previous: before?.version.version ?? null,
    } satisfies ModelSwapEvent);
    options.onLoaded(next);
  }

  /** The versions that may replace the serving one, best first. */
  function candidates(): readonly ModelVersion[] {
    const at = known.findIndex((version) => version.id === serving?.version.id);
    // Its folder is gone, or is being replaced, or an alias moved: what was older than it stays so.
    const newer = at >= 0 ? known.slice(0, at) : known.filter((version) => !older.has(version.id));
    return newer.filter(({ id }) => !left.has(id));
  }

  function noteOlder(): void {
    const at = known.findIndex((version) => version.id === serving?.version.id);
    if (at >= 0) older = new Set(known.slice(at + 1).map((version) => version.id));
  }

  async function update(cause: UpdateCause): Promise<void> {
    const failures: { readonly version: string; readonly reason: string }[] = [];
    try {
      if (!listRetries.isDue("", cause)) return;
      known = await source.list();
      listRetries.succeeded("");
    } catch (error) {
      const failure = noteFailure("", error);
      listRetries.failed("", error, failure);
      failures.push({ version: "", reason: failure.code });
      publish(failures, true);
      return;
    }
    const listed = new Set(known.map((version) => version.id));
    retries.keep(listed);
    for (const id of left) if (!listed.has(id)) left.delete(id);
    noteOlder();
    const decided = decisions;
    for (const version of pinned === null && !isUnloaded ? candidates() : []) {
      if (isClosed || decided !== decisions) break;
      if (!retries.isDue(version.id, cause)) continue;
      try {
        const slot = await open(version);
        if (isClosed || decided !== decisions) retire(slot);
        else serve(slot);
        break;
      } catch (error) {
        // An older version that is newer than the serving one may do.
        failures.push({ version: version.version, reason: isMillraceError(error) ? error.code : "INTERNAL" });
      }
    }
    publish(failures, pinned === null && candidates().some(({ id }) => retries.failureOf(id) !== null));
  }

  function publish(failures: ModelUpdateEvent["failures"], isFailingNow: boolean): void {
    isFailing = isFailingNow;
    updates.publish({ model: model.name, failures, isFailing } satisfies ModelUpdateEvent);
  }

  /** Brings the serving version back into memory. */
  async function reload(): Promise<VersionSlot> {
    for (;;) {
      const slot = serving;
      if (slot === null || isClosed || isUnloaded) throw refusal();
      slot.loading ??= revive(slot).finally(() => {
        slot.loading = null;
      });
      await slot.loading;
      // Another version may serve by now.
      if (slot === serving && slot.resident !== null) return take(slot);
    }
  }

  async function revive(slot: VersionSlot): Promise<void> {
    if (slot.resident !== null || slot.isRetired) return;
    let resident: ServedModel;
    try {
      resident = await load(slot.version);
    } catch (cause) {
      throw notReady(model, loader.lastFailure, cause);
    }
    if (slot.isRetired || isClosed) {
      await resident.loaded.runner.close();
      return;
    }
    slot.resident = resident;
    slot.usedAt = performance.now();
    slot.loadedAt = now();
    options.onLoaded(slot);
  }

  function take(slot: VersionSlot): VersionSlot {
    slot.inFlight++;
    slot.usedAt = performance.now();
    return slot;
  }

  function refusal(): MillraceError {
    return isUnloaded ? unloaded(model) : notReady(model, loader.lastFailure);
  }

  /** Many calls while one is under way are one more. */
  function requestUpdate(cause: UpdateCause): Promise<void> {
    if (waitingUpdate !== null) {
      if (cause !== "poll" && waitingUpdate.cause !== "asked") waitingUpdate.cause = cause;
      return waitingUpdate.done;
    }
    const done = inUpdateTurn(() => {
      const { cause: latest } = waitingUpdate!;
      waitingUpdate = null;
      return update(latest);
    });
    waitingUpdate = { done, cause };
    return done;
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
      return loader.lastFailure;
    },
    get isUnloaded() {
      return isUnloaded;
    },
    get isFailing() {
      return isFailing;
    },
    failureOf: (version) => retries.failureOf(version.id),
    acquire() {
      if (serving === null || isUnloaded) throw refusal();
      return serving.resident === null ? reload() : take(serving);
    },
    release(slot) {
      slot.inFlight--;
      if (slot.isRetired || isUnloaded) free(slot);
    },
    update: requestUpdate,
    async load() {
      isUnloaded = false;
      await requestUpdate("asked");
      if (serving?.resident === null) this.release(await reload());
      if (serving === null) throw refusal();
    },
    unload() {
      isUnloaded = true;
      decisions++;
      for (const slot of [serving, previous]) if (slot !== null) free(slot);
    },
    rollback: () =>
      inOperatorTurn(async () => {
        if (serving === null || previous === null) {
          throw modelError(
            "MODEL_NO_PREVIOUS",
            `Model '${model.name}' has no version to go back to: ${serving === null ? "none serves" : `${serving.version.version} is the first that serves since the start`}. Pin a version instead.`,
          );
        }
        const target = previous;
        decisions++;
        if (target.resident === null && !isUnloaded) target.resident = await load(target.version);
        left.add(serving.version.id);
        left.delete(target.version.id);
        if (pinned !== null) pinned = target.version.version;
        decisions++;
        serve(target);
      }),
    goBack: (name) =>
      inOperatorTurn(async () => {
        if (serving?.version.version === name) return;
        decisions++;
        known = await source.list();
        const held = previous?.version.version === name ? previous : null;
        const version =
          held?.version ??
          known.find((candidate) => candidate.version === name) ??
          (await source.find?.(name)) ??
          undefined;
        if (version === undefined) throw unknownVersion(model, name, known);
        if (held !== null && !isUnloaded) held.resident ??= await load(version);
        const slot = held ?? (await open(version));
        if (serving !== null) left.add(serving.version.id);
        left.delete(version.id);
        if (pinned !== null) pinned = name;
        decisions++;
        serve(slot);
      }),
    pin: (name) =>
      inOperatorTurn(async () => {
        decisions++;
        if (name === null) {
          pinned = null;
          left.clear();
          return requestUpdate("asked");
        }
        known = await source.list();
        const held = [serving, previous].find((slot) => slot?.version.version === name);
        const version =
          known.find((candidate) => candidate.version === name) ??
          held?.version ??
          (await source.find?.(name)) ??
          undefined;
        if (version === undefined) throw unknownVersion(model, name, known);
        const isHeld = held?.version.id === version.id;
        if (isHeld) held.resident ??= await load(version);
        const slot = isHeld ? held : await open(version);
        decisions++;
        serve(slot);
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
      await inUpdateTurn(async () => {});
      await inOperatorTurn(async () => {});
      await source.close();
    },
  };
}

function unknownVersion(model: ModelMeta, name: string, known: readonly ModelVersion[]): MillraceError {
  return modelError(
    "MODEL_VERSION_UNKNOWN",
    `Model '${model.name}' has no version '${name}': there are ${known.map((v) => v.version).join(", ") || "none"}.`,
    { details: { model: model.name, version: name } },
  );
}
