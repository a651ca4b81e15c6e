import { millraceError } from "../../definitions/errors.ts";
import type { OfflineStore } from "../offline/offline-store.ts";
import { type AppliedPlan, allPlans } from "./registry.ts";

/** A plan as it was applied at some moment: a plan that was gone back to has several versions. */
export interface PlanVersion extends AppliedPlan {
  /** From 1. */
  readonly version: number;
}

const KIND = "plan_version";

/** Notes that a plan is applied, before it is put: until then, and after a crash in between, it does not count. */
export async function recordPlanVersion(store: OfflineStore, hash: string): Promise<void> {
  const versions = await planVersions(store);
  const version = versions.length + 1;
  await store.putDocument(KIND, String(version), JSON.stringify({ version, hash }));
}

/** Every version, oldest first. */
export async function planVersions(store: OfflineStore): Promise<readonly PlanVersion[]> {
  const plans = await allPlans(store);
  const byHash = new Map(plans.map((plan) => [plan.hash, plan]));
  const noted = (await store.documents(KIND)).map(({ json, putAt }) => ({
    ...(JSON.parse(json) as { readonly version: number; readonly hash: string }),
    putAt,
  }));
  // Plans that were applied before versions were noted come first.
  const known = new Set(noted.map(({ hash }) => hash));
  const before = noted.length === 0 || noted[0]!.version > 1 ? plans.filter(({ hash }) => !known.has(hash)) : [];
  return [
    ...before.map((plan, index) => ({ ...plan, version: index + 1 })),
    ...noted.flatMap(({ version, hash, putAt }) => {
      const plan = byHash.get(hash);
      return plan === undefined ? [] : [{ ...plan, version, appliedAt: putAt }];
    }),
  ];
}

/**
 * The version of a number, of a hash or the beginning of one (the latest with it), or `current`.
 * @throws `PLAN_VERSION_UNKNOWN`
 */
export function findPlanVersion(versions: readonly PlanVersion[], name: string): PlanVersion {
  const found =
    name === "current"
      ? versions.at(-1)
      : /^\d{1,6}$/.test(name)
        ? versions.find(({ version }) => version === Number(name))
        : versions.findLast(({ hash }) => name.length >= 6 && hash.startsWith(name));
  if (found !== undefined) return found;
  throw millraceError(
    "PLAN_VERSION_UNKNOWN",
    versions.length === 0
      ? "No plan was applied yet: run `millrace apply`."
      : `There is no version '${name.slice(0, 64)}' of the plan: there are 1 to ${versions.at(-1)!.version}; a hash, or at least six digits of one, will do too, or 'current'.`,
  );
}
