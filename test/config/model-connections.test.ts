import { expect, it } from "vitest";
import { resolveConnections } from "../../src/config/connections.ts";
import { isMillraceError } from "../../src/definitions/errors.ts";

const SECRET = "hunter2-hunter2";

it("knows no MLflow and no scoring server by default", () => {
  expect(resolveConnections(undefined, {})).toMatchObject({ mlflow: {}, scoring: {} });
});

it("puts the variables of the servers `default` in, which win over the configuration", () => {
  const { mlflow, scoring } = resolveConnections(
    { mlflow: { default: { url: "http://a", retries: 1 }, other: { url: "/data/mlruns" } } },
    {
      MILLRACE_MLFLOW_URL: "https://mlflow.example/x",
      MILLRACE_MLFLOW_USERNAME: "u",
      MILLRACE_MLFLOW_PASSWORD: SECRET,
      MILLRACE_MLFLOW_WEBHOOK_SECRET: SECRET,
      MILLRACE_SCORING_URL: "http://scoring:5001/{version}",
      MILLRACE_SCORING_TOKEN: SECRET,
    },
  );
  expect(mlflow).toEqual({
    default: {
      url: "https://mlflow.example/x",
      retries: 1,
      auth: { username: "u", password: SECRET },
      webhookSecret: SECRET,
    },
    other: { url: "/data/mlruns" },
  });
  expect(scoring).toEqual({ default: { url: "http://scoring:5001/{version}", auth: { token: SECRET } } });
});

it.each<[string, object, Record<string, string>]>([
  ["mlflow.default.url", { mlflow: { default: {} } }, {}],
  ["mlflow.default.url", { mlflow: { default: { url: "mlflow.example" } } }, {}],
  ["MILLRACE_MLFLOW_URL", {}, { MILLRACE_MLFLOW_URL: `https://u:${SECRET}@mlflow.example` }],
  ["MILLRACE_MLFLOW_URL", {}, { MILLRACE_MLFLOW_URL: `https://mlflow.example?token=${SECRET}` }],
  ["MILLRACE_MLFLOW_URL", {}, { MILLRACE_MLFLOW_TOKEN: SECRET }],
  ["MILLRACE_MLFLOW_PASSWORD", {}, { MILLRACE_MLFLOW_URL: "http://a", MILLRACE_MLFLOW_USERNAME: "u" }],
  [
    "only one of",
    {},
    { MILLRACE_MLFLOW_URL: "http://a", MILLRACE_MLFLOW_TOKEN: SECRET, MILLRACE_MLFLOW_TOKEN_FILE: "/x" },
  ],
  ["mlflow.x.auth", { mlflow: { x: { url: "http://a", auth: { token: `${SECRET}\r\nx: y` } } } }, {}],
  ["mlflow.x.auth", { mlflow: { x: { url: "http://a", auth: { username: SECRET } } } }, {}],
  ["mlflow.x.timeoutMs", { mlflow: { x: { url: "http://a", timeoutMs: 0 } } }, {}],
  ["mlflow.x.retries", { mlflow: { x: { url: "http://a", retries: 1.5 } } }, {}],
  ["webhookSecret", { mlflow: { x: { url: "http://a", webhookSecret: "short" } } }, {}],
  ["scoring.x.url", { scoring: { x: { url: "/data/mlruns" } } }, {}],
  ["scoring.x.protocol", { scoring: { x: { url: "http://a", protocol: "grpc" } } }, {}],
  ["scoring.x.model", { scoring: { x: { url: "http://a", protocol: "open_inference" } } }, {}],
  ["scoring.x.breakerFailures", { scoring: { x: { url: "http://a", breakerFailures: 0 } } }, {}],
])("refuses what is wrong, naming %s and no secret", (named, config, env) => {
  try {
    resolveConnections(config, env);
    expect.unreachable();
  } catch (error) {
    if (!isMillraceError(error)) throw error;
    expect(error.code).toBe("CONFIG_INVALID");
    expect(error.message).toContain(named);
    expect(error.message).not.toContain("hunter2");
  }
});
