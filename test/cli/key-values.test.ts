import { expect, it } from "vitest";
import { keyValues } from "../../src/cli/key-values.ts";

it("reads keys and values, whose texts may hold anything", () => {
  expect([...keyValues(["card_id=a=b", "city=", "__proto__=x"])]).toEqual([
    ["card_id", "a=b"],
    ["city", ""],
    ["__proto__", "x"],
  ]);
});

it.each([["card_id"], ["=a"], [""]])("refuses %j, which is no key=value", (pair) => {
  expect(() => keyValues([pair])).toThrow(expect.objectContaining({ code: "OPTION_INVALID" }));
});

it("refuses a key that is given twice: what an erasure means must be beyond doubt", () => {
  expect(() => keyValues(["card_id=a", "card_id=b"])).toThrow("'card_id' is given twice");
});
