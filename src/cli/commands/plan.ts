import type { ResolvedConfig } from "../../config.ts";
import { diffPlans, type PlanDiff } from "../../feature_engineering/plan/diff-plans.ts";
import { compilePlan, type Plan, parsePlan, planHash } from "../../feature_engineering/plan/plan.ts";
import { renderDiff } from "../../feature_engineering/plan/render-diff.ts";
import { loadDeclarations } from "../../platform.ts";
import { readOwner } from "../../process-file.ts";
import { createWorkerMethods } from "../../worker-methods.ts";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print } from "../global-options.ts";

/** Prints what would change. Nothing is written. */
export async function plan(options: GlobalOptions): Promise<void> {
  const config = await configOf(options);
  const after = compilePlan(await loadDeclarations(config.declarations));
  const diff = diffPlans(await appliedPlan(config), after);
  show(options, planHash(after), diff);
}

/** Records the plan and fills what is new. */
export async function apply(options: GlobalOptions): Promise<void> {
  const config = await configOf(options);
  const after = compilePlan(await loadDeclarations(config.declarations));
  const before = await appliedPlan(config);
  const diff = diffPlans(before, after);
  const owner = await readOwner(config.data);
  if (owner?.url != null) {
    process.stderr.write(
      `Process ${owner.pid} serves: it takes the plan over when it starts anew (millrace dev does so by itself).\n`,
    );
  } else {
    // Opening the stores applies the plan and fills the new view versions.
    await using _connection = await connect(config);
  }
  show(options, planHash(after), diff);
}

async function appliedPlan(config: ResolvedConfig): Promise<Plan | null> {
  const owner = await readOwner(config.data);
  if (owner?.url != null) {
    await using connection = await connect(config);
    const { plan } = await connection.ask<{ plan: unknown }>("GET", "/v1/plan");
    return plan === null ? null : parsePlan(JSON.stringify(plan));
  }
  const { existsSync } = await import("node:fs");
  const { join } = await import("node:path");
  if (!existsSync(join(config.data, "cold.duckdb"))) return null;
  const { pathToFileURL } = await import("node:url");
  const modules = await Promise.all(
    config.declarations.map(async (path) => (await import(pathToFileURL(path).href)) as Record<string, unknown>),
  );
  const methods = await createWorkerMethods({ ...config, ingest: false }, modules, () => {});
  try {
    return (await methods.applied())?.plan ?? null;
  } finally {
    await methods.close();
  }
}

function show(options: GlobalOptions, hash: string, diff: PlanDiff): void {
  print(options, { hash, meaning: diff.meaning, changes: diff.changes }, () =>
    diff.changes.length === 0 ? "No changes." : renderDiff(diff).trimEnd(),
  );
}
