import { describe, expect, test } from "vitest";
import {
  CategoricalTransform,
  count,
  derive,
  entity,
  featureService,
  featureView,
  httpPush,
  max,
  requestSource,
  streamSource,
  t,
} from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import { collectDeclarations } from "../../../src/feature_engineering/plan/collect-declarations.ts";
import { compilePlan, parsePlan, planHash, planText } from "../../../src/feature_engineering/plan/plan.ts";
import { serviceColumns } from "../../../src/feature_engineering/plan/service-columns.ts";
import { declareSample } from "./sample-declarations.ts";

const names = (list: readonly { readonly name: string }[]): string[] => list.map((entry) => entry.name);

describe("the declarations of a module", () => {
  test("include what the exported ones read", () => {
    const { fraud } = declareSample();
    const found = collectDeclarations({ fraud });
    expect(found.models.map((m) => m.name)).toEqual(["fraud"]);
    expect(names(found.services)).toEqual(["fraud"]);
    expect(names(found.views)).toEqual(["card_payments"]);
    expect(names(found.sources)).toEqual(["payments"]);
    expect(names(found.entities)).toEqual(["card"]);
  });

  test("are found in objects and lists one level deep, beside other exports", () => {
    const { view, payments } = declareSample();
    const found = collectDeclarations({
      views: [view],
      more: { payments },
      deep: { er: { view } },
      n: 1,
      f: () => 1,
      x: null,
    });
    expect([names(found.views), names(found.sources)]).toEqual([["card_payments"], ["payments"]]);
    expect(collectDeclarations({ deep: { er: { view } } }).views).toEqual([]);
  });

  test("may be exported under several names, or come from a module that was loaded twice", () => {
    const first = declareSample();
    const second = declareSample();
    expect(collectDeclarations({ a: first.view, b: first.view, c: second.view }).views).toHaveLength(1);
  });

  test("conflict if two different ones have one name", () => {
    expect(() => collectDeclarations({ a: declareSample().view, b: declareSample({ window: "2h" }).view })).toThrow(
      expect.objectContaining({ code: "PLAN_CONFLICT", message: expect.stringContaining("'card_payments'") }),
    );
  });
});

describe("a plan", () => {
  test("is JSON that reads back as it was", () => {
    const plan = compilePlan(collectDeclarations(declareSample({ default: "BE" })));
    expect(parsePlan(planText(plan))).toEqual(plan);
    expect(planHash(parsePlan(planText(plan)))).toBe(planHash(plan));
  });

  test("is the same text whatever the order of declaration", () => {
    const text = (options: object): string => planText(compilePlan(collectDeclarations(declareSample(options))));
    expect(text({ featureOrder: "reversed" })).toBe(text({}));
    expect(text({ description: "other" })).not.toBe(text({}));
  });

  test("shows functions by their canonical text", () => {
    const plan = compilePlan(collectDeclarations(declareSample()));
    expect(planText(plan)).toContain("({ a }) => a > 10");
  });

  test("writes an int64 with a tag", () => {
    const payments = streamSource("payments", {
      stream: httpPush(),
      eventTime: "at",
      lateness: "1m",
      schema: { card_id: t.string(), cents: t.int64(), at: t.timestamp() },
    });
    const view = featureView("v", {
      source: payments,
      entity: entity("card", { card_id: t.string() }),
      features: {
        largest: max(payments.cents)
          .over("1h")
          .default(2n ** 60n),
      },
    });
    expect(planText(compilePlan(collectDeclarations({ view })))).toContain(
      '"default":{"$int64":"1152921504606846976"}',
    );
  });

  test("with a function that is not pure is refused with its feature", () => {
    const outside = Math.floor(1.5);
    const { payments, card } = declareSample();
    const view = featureView("bad", {
      source: payments,
      entity: card,
      features: {
        n: count()
          .where({ a: payments.amount }, ({ a }) => (a as number) > outside)
          .over("1h"),
      },
    } as never);
    expect(() => compilePlan(collectDeclarations({ view }))).toThrow(
      expect.objectContaining({
        code: "FUNCTION_NOT_PURE",
        message: expect.stringContaining("view 'bad', feature 'n'"),
      }),
    );
  });

  test.each(["", "[]", '{"version":2}', '{"version":1,"entities":[{}]}'])("is not %j", (text) => {
    expect(() => parsePlan(text)).toThrow(expect.objectContaining({ code: "PLAN_UNREADABLE" }));
  });
});

describe("the columns of a service", () => {
  const request = requestSource({ a: t.oneOf("b", "c"), a_b: t.float64() });

  test("are its features in order, a one-hot as one per category", () => {
    expect(serviceColumns(declareSample().service[Meta]).map(({ name, feature }) => [name, feature])).toEqual([
      ["amount", "amount"],
      ["channel_chip", "channel"],
      ["channel_online", "channel"],
      ["spend", "spend"],
      ["last", "last"],
      ["ratio", "ratio"],
    ]);
  });

  test("of one name are refused", () => {
    const service = featureService("s", {
      features: { a: CategoricalTransform.of(request.a).oneHot(), a_b: request.a_b },
    } as never);
    expect(() => serviceColumns(service[Meta])).toThrow(
      expect.objectContaining({ code: "DEFINITION_INVALID", message: expect.stringContaining("'a_b'") }),
    );
  });

  test("hold no one-hot within another expression", () => {
    const hot = CategoricalTransform.of(request.a).oneHot();
    const service = featureService("s", {
      features: { x: derive({ hot }, t.float64(), ({ hot }) => hot) },
    } as never);
    expect(() => serviceColumns(service[Meta])).toThrow(
      expect.objectContaining({ code: "DEFINITION_INVALID", message: expect.stringContaining("one-hot") }),
    );
  });
});
