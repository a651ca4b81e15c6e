import { expect, test } from "vitest";
import { labelledChildren } from "../../src/monitoring/labelled-children.ts";

const create = (): { value: number } => ({ value: 0 });

test("one combination of label values is one child", () => {
  const children = labelledChildren(["a", "b"] as const, create);
  expect(children.child("x", "y")).toBe(children.child("x", "y"));
  expect(children.child("x", "y")).not.toBe(children.child("xy", ""));
  expect(Array.from(children.entries(), ({ labels }) => labels)).toEqual([
    { a: "x", b: "y" },
    { a: "xy", b: "" },
  ]);
});

test("a removed child is gone until it is asked for again, and then starts anew", () => {
  const children = labelledChildren(["a"] as const, create);
  children.child("x").value = 3;
  children.remove("x");
  expect([...children.entries()]).toEqual([]);
  expect(children.child("x").value).toBe(0);
});

test("combinations above the limit share one child", () => {
  const children = labelledChildren(["a", "b"] as const, create, 2);
  children.child("1", "1").value++;
  children.child("2", "2").value++;
  children.child("3", "3").value++;
  children.child("4", "4").value++;
  children.child("1", "1").value++;
  expect([...children.entries()]).toEqual([
    { labels: { a: "1", b: "1" }, cell: { value: 2 } },
    { labels: { a: "2", b: "2" }, cell: { value: 1 } },
    { labels: { a: "other", b: "other" }, cell: { value: 2 } },
  ]);
});
