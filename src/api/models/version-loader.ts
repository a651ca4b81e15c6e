import { channel } from "node:diagnostics_channel";
import { isMillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import type { ServiceRuntime } from "../../feature_store/service-runtime.ts";
import { MODEL_LOAD_CHANNEL, type ModelLoadEvent } from "../channels.ts";
import { type LoadRetries, loadRetries } from "./load-retries.ts";
import type { ModelSource, ModelVersion } from "./model-source.ts";
import { oneAtATime } from "./one-at-a-time.ts";
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
  /** Set while it is being brought back into memory. */
  loading?: Promise<void> | null;
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

export interface VersionLoaderOptions {
  readonly model: ModelMeta;
  readonly service: ServiceRuntime;
  readonly source: ModelSource;
  /** Epoch milliseconds. */
  readonly now: () => number;
  /** Called with each failure that is not the same as the one before it. */
  readonly onFailed: (failure: VersionFailure, error: unknown) => void;
  /** Waited for before a version that was loaded serves. */
  readonly beforeServing?: (served: ServedModel) => Promise<void>;
}

/** Loads versions of one model, and keeps account of what failed. */
export interface VersionLoader {
  /** When what failed is tried again, by version id. */
  readonly retries: LoadRetries;
  readonly lastFailure: VersionFailure | null;
  /** One at a time; files are fetched before, so that a long download holds up no load of another version. */
  load(version: ModelVersion): Promise<ServedModel>;
  /** As `load`, in a slot of its own. */
  open(version: ModelVersion): Promise<VersionSlot>;
  /** With an empty version: the versions could not be listed. */
  noteFailure(version: string, error: unknown): VersionFailure;
}

const loads = channel(MODEL_LOAD_CHANNEL);

export function versionLoader(options: VersionLoaderOptions): VersionLoader {
  const { model, service, source, now } = options;
  const retries = loadRetries(source.discard === undefined);
  const inLoadTurn = oneAtATime();
  let lastFailure: VersionFailure | null = null;

  async function load(version: ModelVersion): Promise<ServedModel> {
    const started = performance.now();
    let outcome = "ok";
    let sizeBytes: number | null = null;
    try {
      await source.fetch(version);
      const served = await inLoadTurn(() => loadServedModel(model, service, source, version));
      await options.beforeServing?.(served);
      sizeBytes = served.loaded.runner.sizeBytes;
      retries.succeeded(version.id);
      return served;
    } catch (error) {
      outcome = noteFailure(version.version, error).code;
      retries.failed(version.id, error, lastFailure!);
      await source.release?.(version).catch(() => {});
      // What the registry has may have been repaired when it is tried again.
      if (isMillraceError(error) && error.kind === "user") await source.discard?.(version).catch(() => {});
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

  function noteFailure(version: string, error: unknown): VersionFailure {
    const code = isMillraceError(error) ? error.code : "INTERNAL";
    const message = error instanceof Error ? error.message : String(error);
    const isNew = lastFailure?.message !== message || lastFailure.version !== version;
    lastFailure = { version, code, message, at: now() };
    if (isNew) options.onFailed(lastFailure, error);
    return lastFailure;
  }

  async function open(version: ModelVersion): Promise<VersionSlot> {
    const started = performance.now();
    const resident = await load(version);
    return {
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
  }

  return {
    retries,
    get lastFailure() {
      return lastFailure;
    },
    load,
    open,
    noteFailure,
  };
}
