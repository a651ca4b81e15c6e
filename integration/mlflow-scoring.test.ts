import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SCORING_BODIES, score } from "./protocols/mlflow-bodies.ts";
import { mlflowServe, type ServedModel, serveModel } from "./protocols/protocol-checks.ts";
import { freePorts } from "./services/free-ports.ts";

let served: ServedModel;
let mlflow: Awaited<ReturnType<typeof mlflowServe>>;
beforeAll(async () => {
  served = await serveModel();
  mlflow = await mlflowServe(served.modelFolder, (await freePorts(1))[0]!);
});
afterAll(async () => {
  await mlflow?.[Symbol.asyncDispose]();
  await served?.[Symbol.asyncDispose]();
});

describe("/invocations, beside MLflow's own server with the same model", () => {
  it.each(SCORING_BODIES.filter(({ differs }) => differs === undefined).map((body) => [body.what, body] as const))(
    "answers alike: %s",
    async (_what, body) => {
      expect(await score(served.millrace.url, body)).toEqual(await score(mlflow.url, body));
    },
  );

  it.each(SCORING_BODIES.filter(({ differs }) => differs !== undefined).map((body) => [body.what, body] as const))(
    "refuses where MLflow guesses: %s",
    async (_what, body) => {
      expect(await score(mlflow.url, body)).toMatchObject({ status: 2 });
      expect(await score(served.millrace.url, body)).toMatchObject({ status: 4 });
    },
  );

  it.each(["/ping", "/health", "/version"])("answers %s with the same status", async (path) => {
    const statuses = await Promise.all(
      [served.millrace.url, mlflow.url].map(async (url) => (await fetch(url + path)).status),
    );
    expect(statuses).toEqual([200, 200]);
  });
});
