import { type Duration, durationMs } from "../definitions/duration.ts";
import { isMillraceError, millraceError } from "../definitions/errors.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import type { OfflineStore } from "../feature_store/offline/offline-store.ts";
import { createViewRuntime } from "../feature_store/view-runtime.ts";

/** How long history is kept: of every source, or of those that are named. */
export type RetentionConfig = Duration | Readonly<Record<string, Duration>>;

/** Milliseconds: of every source, or of those that are named; null keeps everything. */
export type Retention = number | Readonly<Record<string, number>> | null;

/** Drops history of one source that is older than its retention, if some may have come to be. */
export type HistoryRetainer = (clock: number) => Promise<void>;

/** How far a source's clock moves, and how much time passes, until older history is looked for again, milliseconds. */
const CLOCK_STEP_MS = 3_600_000;
const PAUSE_MS = 60_000;

/** @throws `CONFIG_INVALID` */
export function resolveRetention(given: RetentionConfig | undefined): Retention {
  if (given === undefined) return null;
  if (typeof given === "string") return lengthOf("retention", given);
  if (typeof given !== "object" || given === null || Array.isArray(given)) {
    throw invalid("retention", 'a length of time such as "400d", or one by source: { payments: "400d" }');
  }
  return Object.fromEntries(Object.entries(given).map(([name, text]) => [name, lengthOf(`retention.${name}`, text)]));
}

/** How long the history of a source is kept, milliseconds; null: for ever. */
export function retentionOf(retention: Retention, source: string): number | null {
  return typeof retention === "object" ? (retention?.[source] ?? null) : retention;
}

/**
 * Checks that whatever is computed from history can be computed from what is kept of it.
 * @throws `RETENTION_TOO_SHORT` if a view reaches further back; `RETENTION_UNSUPPORTED` for a store that keeps
 * everything; `CONFIG_INVALID` for a source that is not declared
 */
export function checkRetention(
  retention: Retention,
  { sources, views }: Pick<Declarations, "sources" | "views">,
  offline: Pick<OfflineStore, "dropHistory">,
): void {
  if (retention === null) return;
  const names = sources.map((source) => source.name);
  const unknown = typeof retention === "object" ? Object.keys(retention).find((name) => !names.includes(name)) : null;
  if (unknown != null) {
    throw millraceError(
      "CONFIG_INVALID",
      `retention names the source '${unknown}', which is not declared: declared are ${names.join(", ") || "none"}.`,
    );
  }
  if (offline.dropHistory === undefined) {
    throw millraceError(
      "RETENTION_UNSUPPORTED",
      "The cold store keeps all history: take `retention` out of the configuration, or use PostgreSQL.",
    );
  }
  for (const view of views) {
    const kept = retentionOf(retention, view.source.name);
    if (kept === null) continue;
    const { reachMs, futureBoundMs } = createViewRuntime(view).layout;
    const needed = reachMs + futureBoundMs;
    if (needed <= kept) continue;
    const reach = Number.isFinite(needed)
      ? `reads up to ${Math.ceil(needed / 1_000)} s back`
      : "has a feature that reads all of history";
    throw millraceError(
      "RETENTION_TOO_SHORT",
      `The view '${view.name}' ${reach}, and history of '${view.source.name}' is kept for ${kept / 1_000} s only: it could not be computed anew. Keep history longer, shorten its windows (give a feature without one a window or ttl), or name in \`retention\` only other sources.`,
      { details: { view: view.name, source: view.source.name, retention_seconds: kept / 1_000 } },
    );
  }
}

/** `elapsed` is a clock that only goes forward, milliseconds. */
export function createHistoryRetainer(
  offline: Pick<OfflineStore, "dropHistory">,
  source: string,
  keptMs: number | null,
  elapsed: () => number,
): HistoryRetainer {
  let last = { clock: Number.NEGATIVE_INFINITY, at: Number.NEGATIVE_INFINITY };
  return async (clock) => {
    if (keptMs === null || !Number.isFinite(clock)) return;
    const at = elapsed();
    if (clock - last.clock < CLOCK_STEP_MS || at - last.at < PAUSE_MS) return;
    const before = last;
    last = { clock, at };
    try {
      await offline.dropHistory?.(source, clock - keptMs);
    } catch (error) {
      // Tried again after the pause.
      last = { clock: before.clock, at };
      throw error;
    }
  };
}

function lengthOf(name: string, text: unknown): number {
  try {
    return durationMs(text as string);
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    throw invalid(name, 'a length of time such as "400d"');
  }
}

function invalid(name: string, expected: string): Error {
  return millraceError("CONFIG_INVALID", `${name} must be ${expected}.`, { details: { name } });
}
