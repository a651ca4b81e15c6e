import { describe, expect, it } from "vitest";
import { count, entity, featureView, memory, streamSource, t } from "../../../src/definitions/index.ts";
import { collectDeclarations, type Declarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { memoryOfflineStore } from "../../../src/feature_store/offline/memory-offline-store.ts";
import { findPlanVersion, planVersions } from "../../../src/feature_store/registry/plan-versions.ts";
import { applyPlan } from "../../../src/feature_store/registry/registry.ts";
import { recordServedModel, servedModels } from "../../../src/feature_store/registry/served-models.ts";

function declared(window: "1h" | "2h", owner = ""): Declarations {
  const visits = streamSource("visits", {
    stream: memory(),
    eventTime: "at",
    lateness: "1m",
    schema: { who: t.string(), at: t.timestamp() },
  });
  const person = entity("person", { who: t.string() }, { owner });
  return collectDeclarations({
    view: featureView("visits_made", { source: visits, entity: person, features: { n: count().over(window) } }),
  });
}

describe("versions of the plan", () => {
  it("count every change, also back to an earlier plan, and not what stays the same", async () => {
    const store = memoryOfflineStore();
    expect(await planVersions(store)).toEqual([]);
    for (const declarations of [declared("1h"), declared("1h"), declared("2h"), declared("1h"), declared("1h", "us")]) {
      await applyPlan(store, declarations);
    }
    const versions = await planVersions(store);
    expect(versions.map(({ version }) => version)).toEqual([1, 2, 3, 4]);
    expect(versions[2]!.hash).toBe(versions[0]!.hash);
    expect(versions[1]!.hash).not.toBe(versions[0]!.hash);
    // An owner changes the plan, and no value.
    expect(versions[3]!.plan.views[0]!.hash).toBe(versions[2]!.plan.views[0]!.hash);
    expect(findPlanVersion(versions, "2").hash).toBe(versions[1]!.hash);
    expect(findPlanVersion(versions, "current").version).toBe(4);
    expect(findPlanVersion(versions, versions[0]!.hash.slice(0, 8)).version).toBe(3);
    for (const name of ["5", "0", "abc", "ffffffffff"]) {
      expect(() => findPlanVersion(versions, name)).toThrow(expect.objectContaining({ code: "PLAN_VERSION_UNKNOWN" }));
    }
  });

  it("keep which model versions served on which plan", async () => {
    const store = memoryOfflineStore();
    const record = { model: "m", version: "1", service: "s", serviceHash: "h", planHash: "p", servedAt: 1 };
    await recordServedModel(store, record);
    await recordServedModel(store, { ...record, version: "2", servedAt: 2 });
    await recordServedModel(store, { ...record, servedAt: 3 });
    expect((await servedModels(store)).map(({ version, servedAt }) => [version, servedAt])).toEqual([
      ["2", 2],
      ["1", 3],
    ]);
  });
});
