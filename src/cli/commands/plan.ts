import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ResolvedConfig } from "../../config/config.ts";
import { loadDeclarations } from "../../config/load-declarations.ts";
import { areShared } from "../../config/store-config.ts";
import { diffPlans, type PlanDiff } from "../../feature_engineering/plan/diff-plans.ts";
import { compilePlan, type Plan, parsePlan, planHash } from "../../feature_engineering/plan/plan.ts";
import { renderDiff } from "../../feature_engineering/plan/render-diff.ts";
import { applyPlan, currentPlan } from "../../feature_store/registry/registry.ts";
import { openOfflineStore } from "../../pipeline/stores.ts";
import { readOwner } from "../../processes/process-file.ts";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";

/** Prints what would change. Nothing is written. With `check`, a breaking change is exit code 2. */
export async function plan(options: GlobalOptions & { readonly check?: boolean }): Promise<void> {
  const config = await configOf(options);
  const after = compilePlan(await loadDeclarations(config.declarations));
  const diff = diffPlans(await appliedPlan(config), after);
  show(options, planHash(after), diff);
  if (options.check === true && diff.meaning === "breaking") process.exitCode = 2;
}

/** Records the plan and fills what is new; with a process on the data folder, that one takes the plan over. */
export async function apply(options: GlobalOptions): Promise<void> {
  const config = await configOf(options);
  const after = compilePlan(await loadDeclarations(config.declarations));
  const hash = planHash(after);
  const diff = diffPlans(await appliedPlan(config), after);
  // Opening the stores applies the plan and fills the new view versions.
  await using connection = await connect(config);
  if (connection.isRemote) await connection.ask("POST", "/v1/apply", { hash });
  else if (areShared(config)) await recordPlan(config);
  show(options, hash, diff);
}

/** Processes that share the stores record no plan by themselves. */
async function recordPlan(config: ResolvedConfig): Promise<void> {
  await using offline = await openOfflineStore(config);
  await applyPlan(offline, await loadDeclarations(config.declarations));
}

async function appliedPlan(config: ResolvedConfig): Promise<Plan | null> {
  const owner = areShared(config) ? null : await readOwner(config.data);
  if (owner?.url != null) {
    await using connection = await connect(config);
    const { plan } = await connection.ask<{ plan: unknown }>("GET", "/v1/plan");
    return plan === null ? null : parsePlan(JSON.stringify(plan));
  }
  if (config.offline.store === "duckdb" && !existsSync(join(config.data, "cold.duckdb"))) return null;
  await using offline = await openOfflineStore(config);
  return (await currentPlan(offline))?.plan ?? null;
}

function show(options: GlobalOptions, hash: string, diff: PlanDiff): void {
  print(options, { hash, meaning: diff.meaning, changes: diff.changes }, () =>
    diff.changes.length === 0 ? "No changes." : renderDiff(diff).trimEnd(),
  );
}
