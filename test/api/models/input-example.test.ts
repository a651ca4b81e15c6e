import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { readInputExample } from "../../../src/api/models/input-example.ts";

describe("an input example", () => {
  it.each([
    ["split", '{"columns":["a","b"],"data":[[1,"x"]]}', { columns: ["a", "b"], rows: [[1, "x"]] }],
    [
      "records",
      '{"dataframe_records":[{"a":1},{"b":true}]}',
      {
        columns: ["a", "b"],
        rows: [
          [1, null],
          [null, true],
        ],
      },
    ],
    ["a list of rows, named by the signature", "[[1,2]]", { columns: ["x", "y"], rows: [[1, 2]] }],
    [
      "missing numbers",
      '{"columns":["NaN"],"data":[[NaN],[-Infinity],["NaN \\" NaN"]]}',
      { columns: ["NaN"], rows: [[null], [null], ['NaN " NaN']] },
    ],
    ["a text", '"hello"', null],
    ["what is no JSON at all", "{NaN", null],
  ])("is read from %s", (_what, text, batch) => {
    expect(readInputExample(text, ["x", "y"])).toEqual(batch);
  });

  it("of the flights' model is read, though it has missing values", () => {
    const path = new URL("../../../examples/flight_delays/model/1/input_example.json", import.meta.url);
    const batch = readInputExample(readFileSync(path, "utf8"), null);
    expect(batch?.columns).toContain("route_late_7d");
    expect(batch?.rows.flat()).toContain(null);
  });
});
