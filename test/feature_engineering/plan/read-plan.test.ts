import { expect, test } from "vitest";
import * as flights from "../../../examples/flight_delays/features.ts";
import type { RowFunction } from "../../../src/definitions/expression.ts";
import { collectDeclarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { compilePlan, parsePlan, planText } from "../../../src/feature_engineering/plan/plan.ts";
import { readPlan } from "../../../src/feature_engineering/plan/read-plan.ts";
import { declareSample } from "./sample-declarations.ts";

const make = (source: string): RowFunction => new Function(`return (${source});`)() as RowFunction;

test.each([
  ["the flights of the example", () => flights],
  ["the sample", () => declareSample({ default: "DE", extraFeature: true })],
])("declarations read from the plan of %s give the same plan", (_name, declared) => {
  const { outcomes: _, ...plan } = compilePlan(collectDeclarations(declared()));
  const again = readPlan(parsePlan(planText(plan)), make);
  // What Beam does not compute is not read: models, and what becomes of their predictions.
  expect(planText(compilePlan({ ...again, models: [] }))).toBe(planText({ ...plan, models: [] }));
});
