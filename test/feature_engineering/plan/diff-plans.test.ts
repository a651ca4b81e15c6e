import { describe, expect, test } from "vitest";
import { collectDeclarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { diffPlans, type EntryChange, type PlanDiff } from "../../../src/feature_engineering/plan/diff-plans.ts";
import { compilePlan, type Plan } from "../../../src/feature_engineering/plan/plan.ts";
import { renderDiff } from "../../../src/feature_engineering/plan/render-diff.ts";
import { declareSample, type Sample } from "./sample-declarations.ts";

const planOf = (options: Sample = {}): Plan => compilePlan(collectDeclarations(declareSample(options)));
const diff = (after: Sample, before: Sample = {}): PlanDiff => diffPlans(planOf(before), planOf(after));
const brief = (changes: readonly EntryChange[]): string[] =>
  changes.map(({ kind, change, meaning }) => `${kind} ${change} ${meaning}`);

describe("the difference of two plans", () => {
  test("of the same declarations is none", () => {
    expect(diff({})).toEqual({ meaning: "compatible", changes: [] });
    expect(renderDiff(diff({}))).toBe("No changes.\n");
  });

  test("of the first plan is that everything is added, and views are filled", () => {
    const first = diffPlans(null, planOf());
    expect(brief(first.changes)).toEqual([
      "entity added compatible",
      "source added compatible",
      "view added new_version",
      "service added compatible",
      "model added compatible",
    ]);
  });

  test("says what was removed", () => {
    const before = planOf();
    const changes = diffPlans(before, { ...before, views: [], services: [], models: [] }).changes;
    expect(brief(changes)).toEqual([
      "view removed compatible",
      "service removed compatible",
      "model removed compatible",
    ]);
  });

  test.each<[string, Sample, string[]]>([
    [
      "descriptions",
      { description: "new" },
      ["entity", "source", "view", "service", "model"].map((kind) => `${kind} changed compatible`),
    ],
    ["a connector", { connector: "memory" }, ["source changed compatible"]],
    ["the lateness", { lateness: "5m" }, ["source changed compatible"]],
    ["a nullable column", { extraColumn: "nullable" }, ["source changed compatible"]],
    ["a column that is not nullable", { extraColumn: "required" }, ["source changed breaking"]],
    ["more categories", { channels: ["chip", "online", "transfer"] }, ["source changed compatible"]],
    ["fewer categories", { channels: ["chip"] }, ["source changed breaking"]],
    [
      "a column that may no longer be null",
      { countries: "required" },
      ["source changed breaking", "view changed compatible"],
    ],
    [
      "a column's type",
      { amount: "int32" },
      ["source changed breaking", "view changed new_version", "service changed new_values"],
    ],
    [
      "the event time",
      { eventTime: "settled_at" },
      ["source changed breaking", "view changed new_version", "service changed new_values"],
    ],
    [
      "the clock",
      { clock: "stream" },
      ["source changed new_version", "view changed new_version", "service changed new_values"],
    ],
    ["a window", { window: "2h" }, ["view changed new_version", "service changed new_values"]],
    ["a where", { threshold: 20 }, ["view changed new_version"]],
    ["a new feature", { extraFeature: true }, ["view changed new_version"]],
    ["a default", { default: "BE" }, ["view changed new_values", "service changed new_values"]],
    ["the order of a service's features", { serviceOrder: "reversed" }, ["service changed new_values"]],
  ])("tells what a change of %s means", (_, options, expected) => {
    const { changes, meaning } = diff(options);
    expect(brief(changes)).toEqual(expected);
    const order = ["compatible", "new_values", "new_version", "breaking"];
    expect(order.indexOf(meaning)).toBe(Math.max(...changes.map((change) => order.indexOf(change.meaning))));
  });

  test("a column that became nullable is compatible, one that is missing is breaking", () => {
    expect(diff({}, { countries: "required" }).meaning).toBe("compatible");
    const removed = diff({}, { extraColumn: "nullable" });
    expect(removed.meaning).toBe("breaking");
    expect(removed.changes[0]!.reason).toContain("'extra'");
  });

  test("names the paths with what was and what is", () => {
    const view = diff({ window: "2h" }).changes.find((change) => change.kind === "view")!;
    expect(view.paths).toContainEqual({
      path: "features.spend.window_ms",
      before: 3_600_000,
      after: 7_200_000,
      meaning: "new_version",
      reason: expect.stringContaining("filled from history"),
    });
  });

  test("names a list that was only put in another order", () => {
    const [service] = diff({ serviceOrder: "reversed" }).changes;
    expect(service!.paths.map(({ path }) => path)).toEqual(["columns.order", "features.order", "hash"]);
  });

  test("is shown with a sign per line", () => {
    const text = renderDiff(diff({ window: "2h", extraFeature: true }));
    const lines = text.replaceAll(/@[0-9a-f]{12}/g, "@…").split("\n");
    expect(lines).toEqual([
      "~ view card_payments (new version: card_payments@… is filled from history, then switched to)",
      expect.stringMatching(/^ {4}\+ features\.extra: \{/),
      "    ~ features.spend.window_ms: 3600000 → 7200000",
      '    ~ version: "card_payments@…" → "card_payments@…"',
      "~ service fraud (new values: models that were trained on the old rows are refused: train them again)",
      "",
    ]);
    expect(renderDiff(diffPlans(null, planOf()))).toContain("+ source payments\n");
    expect(renderDiff(diff({ amount: "int32" }))).toContain("(BREAKING: stored events have a 'amount' of another type");
  });
});
