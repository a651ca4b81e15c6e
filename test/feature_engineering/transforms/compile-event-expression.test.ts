import { describe, expect, test, vi } from "vitest";
import { derive, httpPush, requestSource, streamSource, t } from "../../../src/definitions/index.ts";
import type { Value } from "../../../src/definitions/value.ts";
import {
  compileEventExpression,
  compilePredicate,
} from "../../../src/feature_engineering/transforms/compile-event-expression.ts";

const source = streamSource("payments", {
  stream: httpPush(),
  eventTime: "at",
  lateness: "1m",
  schema: { amount: t.float64().nullable(), declined: t.bool().nullable(), at: t.timestamp() },
});
const columns = new Map([
  ["amount", 0],
  ["declined", 1],
  ["at", 2],
]);

describe("an expression over events", () => {
  test("that is a column is its value in the row", () => {
    const evaluate = compileEventExpression(source.at.expression, columns, () => {});
    expect(evaluate([1, true, 99])).toBe(99);
  });

  test("may derive from derived values, with Dates for timestamps", () => {
    const hour = derive({ at: source.at }, t.int32(), ({ at }) => at.getUTCHours());
    const night = derive({ hour, amount: source.amount }, t.float64().nullable(), ({ hour, amount }) =>
      hour < 6 ? amount : null,
    );
    const evaluate = compileEventExpression(night.expression, columns, () => {});
    expect([evaluate([5, null, 0]), evaluate([5, null, 7 * 3_600_000])]).toEqual([5, null]);
  });

  test("counts failures and gives null for them", () => {
    const onFailure = vi.fn();
    const inverse = derive({ amount: source.amount }, t.float64(), ({ amount }) => 1 / (amount as number));
    const evaluate = compileEventExpression(inverse.expression, columns, onFailure);
    expect([evaluate([4, null, 0]), evaluate([0, null, 0])]).toEqual([0.25, null]);
    expect(onFailure).toHaveBeenCalledTimes(1);
  });

  test("reads nothing but the source's columns", () => {
    const { fee } = requestSource({ fee: t.float64() });
    const compile = (expression: Parameters<typeof compileEventExpression>[0]) => () =>
      compileEventExpression(expression, columns, () => {});
    expect(compile(fee.expression)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
    expect(compile({ ...source.at.expression, column: "other" } as never)).toThrow(
      expect.objectContaining({ code: "DEFINITION_INVALID", message: expect.stringContaining("'other'") }),
    );
  });
});

describe("a where", () => {
  const where = (
    fn: (row: { amount: number | null }) => unknown,
  ): readonly [(row: readonly Value[]) => boolean, () => number] => {
    const onFailure = vi.fn();
    const { expression } = derive({ amount: source.amount }, t.bool(), fn as never);
    return [compilePredicate(expression, columns, onFailure), () => onFailure.mock.calls.length];
  };

  test("over a bool column is true only for true", () => {
    const predicate = compilePredicate(source.declined.expression, columns, () => {});
    expect([true, false, null].map((declined) => predicate([1, declined, 0]))).toEqual([true, false, false]);
  });

  test("is false for null, which is no failure", () => {
    const [predicate, failures] = where(({ amount }) => (amount === null ? null : amount > 1));
    expect([2, 1, null].map((amount) => predicate([amount, null, 0]))).toEqual([true, false, false]);
    expect(failures()).toBe(0);
  });

  test("is false for a throw and for what is not a bool, which are failures", () => {
    const [predicate, failures] = where(({ amount }) => (amount === null ? JSON.parse("{") : amount));
    expect([1, null].map((amount) => predicate([amount, null, 0]))).toEqual([false, false]);
    expect(failures()).toBe(2);
  });
});
