import { millraceError } from "../../definitions/errors.ts";
import type { Declarations } from "../../feature_engineering/plan/collect-declarations.ts";
import { diffPlans, type PlanDiff } from "../../feature_engineering/plan/diff-plans.ts";
import { compilePlan, type Plan, parsePlan, planHash, planText } from "../../feature_engineering/plan/plan.ts";
import { renderDiff } from "../../feature_engineering/plan/render-diff.ts";
import type { OfflineStore } from "../offline/offline-store.ts";
import { recordPlanVersion } from "./plan-versions.ts";

/** A plan that was applied, as the registry keeps it: for display and diff, never to be run. */
export interface AppliedPlan {
  readonly hash: string;
  /** Epoch milliseconds. */
  readonly appliedAt: number;
  readonly plan: Plan;
}

export interface PlanPreview {
  readonly hash: string;
  readonly diff: PlanDiff;
  /** The diff for a terminal. */
  readonly text: string;
}

const KIND = "plan";

/** Every plan that was applied, each once, in the order in which they were applied last. */
export async function allPlans(store: OfflineStore): Promise<readonly AppliedPlan[]> {
  return (await store.documents(KIND)).map(({ name, json, putAt }) => ({
    hash: name,
    appliedAt: putAt,
    plan: parsePlan(json),
  }));
}

/** The plan that was applied last; null before the first. */
export async function currentPlan(store: OfflineStore): Promise<AppliedPlan | null> {
  const last = (await store.documents(KIND)).at(-1);
  if (last === undefined) return null;
  return { hash: last.name, appliedAt: last.putAt, plan: parsePlan(last.json) };
}

/** What applying the declarations would change. */
export async function previewPlan(store: OfflineStore, declarations: Declarations): Promise<PlanPreview> {
  const plan = compilePlan(declarations);
  const diff = diffPlans((await currentPlan(store))?.plan ?? null, plan);
  return { hash: planHash(plan), diff, text: renderDiff(diff) };
}

/**
 * Checks the declarations against what is stored.
 * @throws `PLAN_BREAKING` if stored data does not fit.
 */
export async function checkPlan(store: OfflineStore, declarations: Declarations): Promise<PlanPreview> {
  const preview = await previewPlan(store, declarations);
  if (preview.diff.meaning === "breaking") {
    const breaking = preview.diff.changes.filter((change) => change.meaning === "breaking");
    throw millraceError(
      "PLAN_BREAKING",
      `The declarations do not fit what is stored: ${breaking.map((c) => `${c.kind} '${c.name}': ${c.reason}`).join("; ")}. Declare a new source under another name, or start with an empty data folder.`,
      { details: { changes: breaking.map(({ kind, name, reason }) => ({ kind, name, reason })) } },
    );
  }
  return preview;
}

/**
 * Checks the declarations as `checkPlan` does, and records their plan as a new version, if it changed. The fill of new
 * view versions is the pipeline's.
 */
export async function applyPlan(store: OfflineStore, declarations: Declarations): Promise<PlanPreview> {
  const preview = await checkPlan(store, declarations);
  const current = await currentPlan(store);
  if (current?.hash !== preview.hash) {
    await recordPlanVersion(store, preview.hash);
    await store.putDocument(KIND, preview.hash, planText(compilePlan(declarations)));
  }
  return preview;
}
