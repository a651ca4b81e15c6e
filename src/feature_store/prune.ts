import type { OfflineStore } from "./offline/offline-store.ts";
import type { OnlineStore } from "./online/online-store.ts";
import { planVersions } from "./registry/plan-versions.ts";
import { dropUndeclared } from "./sweep.ts";

export interface PruneRequest {
  /** How many plans, counted from the one that was applied last, keep their key spaces. At least 1. */
  readonly plans: number;
  /** Also drop key spaces that are in no applied plan: a process that runs ahead of `apply` may serve them. */
  readonly unapplied: boolean;
  /** Drop nothing. */
  readonly dryRun: boolean;
}

export interface PrunedKeyspace {
  /** `view@version` */
  readonly keyspace: string;
  /** The number of the last plan that has it; null if none does. */
  readonly lastPlan: number | null;
  readonly dropped: boolean;
}

export interface PruneReport {
  /** Key spaces that are not kept, by name. Those with `lastPlan` null are dropped with `unapplied` only. */
  readonly keyspaces: readonly PrunedKeyspace[];
  /** How many are kept. */
  readonly kept: number;
}

/**
 * Drops the key spaces of view versions that neither the last plans nor the current declarations (`declared`, view
 * versions) have. Declared again, they are filled from history.
 */
export async function prune(
  { online, offline, declared }: PruneStores,
  { plans, unapplied, dryRun }: PruneRequest,
): Promise<PruneReport> {
  const versions = await planVersions(offline);
  const kept = new Set(declared);
  for (const { plan } of versions.slice(-plans)) for (const view of plan.views) kept.add(view.version);
  const present = await online.keyspaces();
  const others = present.filter((keyspace) => !kept.has(keyspace)).sort();
  const found = others.map((keyspace) => ({
    keyspace,
    lastPlan: versions.findLast(({ plan }) => plan.views.some((view) => view.version === keyspace))?.version ?? null,
  }));
  const doomed = dryRun ? [] : found.filter(({ lastPlan }) => unapplied || lastPlan !== null);
  const dropped = new Set(doomed.map(({ keyspace }) => keyspace));
  if (dropped.size > 0) await dropUndeclared(online, new Set(present.filter((keyspace) => !dropped.has(keyspace))));
  return {
    keyspaces: found.map((one) => ({ ...one, dropped: dropped.has(one.keyspace) })),
    kept: present.length - others.length,
  };
}

export interface PruneStores {
  readonly online: OnlineStore;
  readonly offline: OfflineStore;
  /** The view versions that this process serves. */
  readonly declared: Iterable<string>;
}
