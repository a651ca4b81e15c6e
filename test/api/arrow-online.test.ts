import { tableFromIPC } from "apache-arrow";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { onlineArrow } from "../../src/api/arrow-online.ts";
import type { ColumnTypeSpec, Value } from "../../src/definitions/value.ts";
import type { FeatureStatus } from "../../src/feature_engineering/windows/read-features.ts";
import { openTestApi, payment, type TestApi } from "./open-api.ts";
import { NOW } from "./payments.ts";

const ARROW = { accept: "application/vnd.apache.arrow.stream" };
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
  await api.push([payment("p1", 60), payment("p2", 30, { account: 7 })]);
});
afterAll(() => api.close());

describe("POST /v1/features/online in Arrow", () => {
  it("gives the values, statuses and flags that JSON gives", async () => {
    const rows = ["c1", "nobody"].map((card_id) => ({ card_id, account: "7", asked: NOW }));
    const json = await api.request("POST", "/v1/features/online", { service: "typed_v1", rows });
    const answer = await api.request("POST", "/v1/features/online", { service: "typed_v1", rows }, ARROW);
    expect([answer.status, answer.headers["content-type"]]).toEqual([200, ARROW.accept]);
    const table = tableFromIPC(answer.bytes);
    const names: string[] = json.body.columns;
    expect(table.schema.fields.map(({ name }) => name)).toEqual([
      ...names,
      ...names.map((name) => `${name}:status`),
      ":head_overlap",
    ]);
    expect([...table.schema.metadata]).toEqual([
      ["millrace.service", "typed_v1"],
      ["millrace.as_of", new Date(NOW).toISOString()],
    ]);
    const column = (name: string): unknown[] => [...table.getChild(name)!];
    expect(column("account_n")).toEqual([1, 1]);
    expect(column("last_account")).toEqual([7n, 7n]);
    expect(column("last_at").map(Number)).toEqual([NOW - 30_000, 0]);
    expect(table.getChild("last_at")!.get(1)).toBeNull();
    for (const [c, name] of names.entries())
      expect(column(`${name}:status`)).toEqual(json.body.statuses.map((row: string[]) => row[c]));
    expect(column(":head_overlap")).toEqual([false, false]);
  });

  it("has every type, with nulls, also in lists, and no rows at all", async () => {
    const type = (kind: ColumnTypeSpec["kind"], item?: ColumnTypeSpec): ColumnTypeSpec =>
      item === undefined ? { kind, nullable: true } : { kind, nullable: true, item };
    const values: readonly (readonly [ColumnTypeSpec, readonly Value[], readonly unknown[]])[] = [
      [type("float64"), [1.5, null, -0.25], [1.5, null, -0.25]],
      [type("int32"), [null, -(2 ** 31), 7], [null, -(2 ** 31), 7]],
      [type("int64"), [2n ** 63n - 1n, null, -1n], [2n ** 63n - 1n, null, -1n]],
      [type("bool"), [true, null, false], [true, null, false]],
      [type("string"), ["Gent", "", "żółw 🐢"], ["Gent", "", "żółw 🐢"]],
      [type("one_of"), [null, "a", null], [null, "a", null]],
      [type("timestamp"), [0, null, NOW], [0, null, NOW]],
      [type("list", type("int64")), [[1n, null], null, []], [[1n, null], null, []]],
      [type("list", type("string")), [["x"], ["y", "z"], null], [["x"], ["y", "z"], null]],
    ];
    const status: FeatureStatus[] = ["PRESENT", "OUTSIDE_MAX_AGE", "NULL_VALUE"];
    const read = (count: number) => ({
      service: "s",
      columns: values.map(([one], i) => ({ name: `c${i}`, type: one, feature: `c${i}` })),
      rows: status.slice(0, count).map((_, r) => values.map(([, column]) => column[r]!)),
      statuses: status.slice(0, count).map((one) => values.map(() => one)),
      asOf: NOW,
      headOverlap: [false, true, false].slice(0, count),
      readings: [],
    });
    const table = tableFromIPC(await onlineArrow(read(3)));
    for (const [i, [, , expected]] of values.entries()) {
      const column = [...table.getChild(`c${i}`)!].map((value) =>
        value !== null && typeof value === "object" && !(value instanceof Date)
          ? [...(value as Iterable<unknown>)]
          : value,
      );
      expect(column, `column ${i}`).toEqual(expected);
      expect([...table.getChild(`c${i}:status`)!]).toEqual(status);
    }
    expect([...table.getChild(":head_overlap")!]).toEqual([false, true, false]);
    expect(tableFromIPC(await onlineArrow(read(0))).numRows).toBe(0);
  });
});
