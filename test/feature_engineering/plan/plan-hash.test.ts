import { describe, expect, test } from "vitest";
import {
  expressionKey,
  serviceHash,
  viewHash,
  viewStateHash,
  viewVersion,
} from "../../../src/feature_engineering/plan/plan-hash.ts";
import { type Sample, sampleMetas } from "./sample-declarations.ts";

/** Which of a sample's three hashes a change moves. */
function moved(options: Sample): { readonly state: boolean; readonly values: boolean; readonly service: boolean } {
  const before = sampleMetas();
  const after = sampleMetas(options);
  return {
    state: viewStateHash(before.view) !== viewStateHash(after.view),
    values: viewHash(before.view) !== viewHash(after.view),
    service: serviceHash(before.service) !== serviceHash(after.service),
  };
}

const NOTHING = { state: false, values: false, service: false };
const ALL = { state: true, values: true, service: true };

describe("the hashes of a view and a service", () => {
  test.each<[string, Sample]>([
    ["a second declaration of the same", {}],
    ["a description", { description: "about cards" }],
    ["the connector", { connector: "memory" }],
    ["the lateness", { lateness: "5m" }],
    ["the order in which features are declared", { featureOrder: "reversed" }],
    ["a new nullable column", { extraColumn: "nullable" }],
    ["a column that may no longer be null", { countries: "required" }],
    ["another allowed category", { channels: ["chip", "online", "transfer"] }],
  ])("stay with %s", (_, options) => {
    expect(moved(options)).toEqual(NOTHING);
  });

  test.each<[string, Sample]>([
    ["another window", { window: "2h" }],
    ["another function in where", { threshold: 20 }],
    ["another type of a column that is read", { amount: "int32" }],
    ["another event time column", { eventTime: "settled_at" }],
    ["another clock", { clock: "stream" }],
    ["another ttl, by which stores keep the latest event", { ttl: "2d" }],
  ])("all move with %s", (_, options) => {
    const { service, ...view } = moved(options);
    expect(view).toEqual({ state: true, values: true });
    // The service does not read the feature with the function.
    expect(service).toBe(options.threshold === undefined);
  });

  test("a default moves what is read, not what is stored", () => {
    expect(moved({ default: "BE" })).toEqual({ state: false, values: true, service: true });
  });

  test("a feature that the service does not read leaves the service's hash", () => {
    expect(moved({ extraFeature: true })).toEqual({ state: true, values: true, service: false });
  });

  test("the order of a service's features is that of the model's columns, so it counts", () => {
    expect(moved({ serviceOrder: "reversed" })).toEqual({ state: false, values: false, service: true });
    expect(moved({ window: "2h" })).toEqual(ALL);
  });

  test("a view's version is its name and twelve digits of what it stores", () => {
    const { view } = sampleMetas();
    expect(viewVersion(view)).toBe(`card_payments@${viewStateHash(view).slice(0, 12)}`);
    expect(viewStateHash(view)).toMatch(/^[0-9a-f]{32}$/);
  });

  test("what was hashed does not move with releases unless the format's number does", () => {
    const { view, service } = sampleMetas();
    expect([viewStateHash(view), viewHash(view), serviceHash(service)]).toMatchInlineSnapshot(`
      [
        "e239a90680518f5006366ad811e7a5c1",
        "c6d791713ab016c87c86425bb941b80a",
        "dcaa467f74191949026e3f53149e155d",
      ]
    `);
  });
});

test("equal expressions of different objects have one key", () => {
  const where = (options: Sample): string => {
    const feature = sampleMetas(options).view.features.find((f) => f.name === "large")!;
    return expressionKey(feature.aggregate.where!, "the test");
  };
  expect(where({})).toBe(where({}));
  expect(where({})).not.toBe(where({ threshold: 20 }));
});
