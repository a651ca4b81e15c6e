import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { createProject, INDEX } from "../test/cli/project.ts";
import { pythonEnvironment } from "./services/python-environment.ts";

const FEATURES = `
import { count, entity, featureService, featureView, httpPush, model, requestSource, streamSource, sum, t } from ${JSON.stringify(INDEX)};
export const card = entity("card", { card_id: t.string() });
export const payments = streamSource("payments", {
  stream: httpPush(), eventTime: "at", lateness: "1m",
  schema: { card_id: t.string(), amount: t.float64().nullable(), items: t.int64(), at: t.timestamp() },
});
export const activity = featureView("card_activity", {
  source: payments, entity: card, features: { payments: count().over("1h"), spend: sum(payments.amount).over(["1h", "24h"]) },
});
const request = requestSource({ amount: t.float64(), online: t.bool().nullable() });
export const fraud = featureService("fraud_v1", { features: { payments: activity.payments, amount: request.amount, online: request.online } });
export const risk = model("risk", { inputs: fraud, output: { probability: t.float64() }, predict: ({ payments }) => ({ probability: payments }) });
`;
/** MLflow's ping says that its body is JSON, which it is not; a model that was unloaded answers 503, as it should. */
const LEFT_OUT = "(/ping|/unload)$";

describe("the OpenAPI document, held against the server by Schemathesis", () => {
  it("says what every route answers, and nothing that is sent makes the server fail", async () => {
    const bin = pythonEnvironment(["schemathesis==4.32.5"]);
    await using project = await createProject({ "features.ts": FEATURES });
    await project.start(["serve"]).says("Ready.");
    const { url, token } = JSON.parse(
      await readFile(join(project.folder, ".millrace/process/process.json"), "utf8"),
    ) as { readonly url: string; readonly token: string };
    const checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    const run = promisify(execFile)(
      join(bin, "schemathesis"),
      [
        ...["run", `${url}/openapi.json`, "--url", url, "--header", `Authorization: Bearer ${token}`],
        ...["--checks", checks, "--phases", "coverage,fuzzing", "--max-examples", "6", "--seed", "1"],
        ...["--exclude-path-regex", LEFT_OUT, "--no-color", "--request-timeout", "30"],
      ],
      { cwd: project.folder, maxBuffer: 2 ** 26 },
    );
    const { stdout, code } = await run.then(
      ({ stdout: text }) => ({ stdout: text, code: 0 }),
      (error: { readonly stdout: string; readonly code: number }) => error,
    );
    const failures = stdout.slice(stdout.indexOf("FAILURES"), stdout.indexOf("WARNINGS")).slice(0, 20_000);
    expect(code, failures).toBe(0);
    expect(Number(/Tested: (\d+)/.exec(stdout)?.[1])).toBeGreaterThan(60);
  }, 300_000);
});
