import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  batchChecks,
  type ClientCheck,
  mlserverChecks,
  openInferenceChecks,
  type ServedModel,
  serveModel,
} from "./protocols/protocol-checks.ts";

let served: ServedModel;
beforeAll(async () => {
  served = await serveModel();
});
afterAll(() => served[Symbol.asyncDispose]());

const failed = (checks: readonly ClientCheck[]): readonly ClientCheck[] => checks.filter(({ passed }) => !passed);

describe("clients of the Open Inference Protocol", () => {
  it("of Triton and KServe get XGBoost's own predictions in every form", () => {
    const checks = openInferenceChecks(served);
    expect(failed(checks)).toEqual([]);
    expect(new Set(checks.map(({ client }) => client))).toEqual(new Set(["tritonclient", "kserve"]));
    expect(checks.length).toBeGreaterThan(45);
  });

  it("of MLServer get them, row by row and joined", async () => {
    const checks = await mlserverChecks(served);
    expect(failed(checks)).toEqual([]);
  });
});

describe("clients of the batch endpoint", () => {
  it("in pandas and pyarrow get XGBoost's own predictions in every format", () => {
    const checks = batchChecks(served);
    expect(failed(checks)).toEqual([]);
    expect(checks.length).toBeGreaterThan(8);
  });
});
