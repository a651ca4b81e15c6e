import { expect, it } from "vitest";
import * as aggregates from "../../src/definitions/aggregate.ts";

const { count, ...ofColumns } = aggregates;

it.each(Object.entries(ofColumns))("%s refuses what is no column, when it is declared", (_name, make) => {
  const declare = make as (column: unknown, n?: number) => unknown;
  for (const wrong of [undefined, null, "amount", 5, {}]) {
    expect(() => declare(wrong, 3)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
  }
});

it("count needs none", () => {
  expect(count().over("1h")).toBeDefined();
});
