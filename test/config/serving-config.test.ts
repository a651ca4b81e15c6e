import { availableParallelism } from "node:os";
import { describe, expect, it } from "vitest";
import { resolveServing, type ServingConfig } from "../../src/config/serving-config.ts";

describe("the serving configuration", () => {
  it("has defaults", () => {
    expect(resolveServing(undefined, {})).toEqual({
      processes: 1,
      requestTimeoutMs: null,
      queueDelayTargetMs: 80,
      drainSeconds: 10,
    });
  });

  it("is overruled by variables", () => {
    const env = {
      MILLRACE_PROCESSES: "auto",
      MILLRACE_REQUEST_TIMEOUT_MS: "250",
      MILLRACE_QUEUE_DELAY_TARGET_MS: "0",
      MILLRACE_DRAIN_SECONDS: "30",
    };
    expect(resolveServing({ processes: 3, requestTimeoutMs: 5 }, env)).toEqual({
      processes: availableParallelism(),
      requestTimeoutMs: 250,
      queueDelayTargetMs: null,
      drainSeconds: 30,
    });
  });

  it.each<[ServingConfig, Record<string, string>, string]>([
    [{ processes: 0 }, {}, "server.processes must be auto, or a whole number from 1 to 256."],
    [{ processes: 1.5 }, {}, "server.processes must be"],
    [{}, { MILLRACE_PROCESSES: "many" }, "the variable MILLRACE_PROCESSES must be"],
    [{}, { MILLRACE_PROCESSES: "" }, "the variable MILLRACE_PROCESSES must be"],
    [{ requestTimeoutMs: 0 }, {}, "server.requestTimeoutMs must be a number from 1 to 3600000."],
    [{}, { MILLRACE_QUEUE_DELAY_TARGET_MS: "soon" }, "the variable MILLRACE_QUEUE_DELAY_TARGET_MS must be"],
    [{ drainSeconds: -1 }, {}, "server.drainSeconds must be"],
  ])("refuses %j with %j", (given, env, message) => {
    expect(() => resolveServing(given, env)).toThrow(message);
  });
});
