import { expect, it } from "vitest";
import {
  type DeadLetterConfig,
  deadLetterThresholdOf,
  resolveDeadLetters,
} from "../../src/config/dead-letter-config.ts";

it("gives each source its own threshold, else that of all, else half of the last thousand", () => {
  const of = (given: DeadLetterConfig | undefined, env: Record<string, string> = {}) => {
    const thresholds = resolveDeadLetters(given, env);
    return ["payments", "clicks"].map((source) => {
      const { share, over } = deadLetterThresholdOf(thresholds, source);
      return [share, over];
    });
  };
  expect(of(undefined)).toEqual([
    [0.5, 1_000],
    [0.5, 1_000],
  ]);
  expect(of({ share: 1, sources: { payments: { over: 10 } } })).toEqual([
    [1, 10],
    [1, 1_000],
  ]);
  expect(of({ share: 1, sources: { clicks: { share: 0 } } }, { MILLRACE_DEAD_LETTER_SHARE: "0.25" })).toEqual([
    [0.25, 1_000],
    [0, 1_000],
  ]);
});

it.each<[string, unknown, Record<string, string>]>([
  ["deadLetters.share", { share: 50 }, {}],
  ["deadLetters.share", { share: "0.5" }, {}],
  ["deadLetters.over", { over: 0 }, {}],
  ["deadLetters.over", { over: 2.5 }, {}],
  ["deadLetters.sources", { sources: 3 }, {}],
  ["deadLetters.sources.payments", { sources: { payments: 0.5 } }, {}],
  ["deadLetters.sources.payments.share", { sources: { payments: { share: -1 } } }, {}],
  ["deadLetters.sources.payments.most", { sources: { payments: { most: 1 } } }, {}],
  ["MILLRACE_DEAD_LETTER_SHARE", undefined, { MILLRACE_DEAD_LETTER_SHARE: "half" }],
  ["MILLRACE_DEAD_LETTER_SHARE", undefined, { MILLRACE_DEAD_LETTER_SHARE: " " }],
])("refuses a bad %s and names it", (name, given, env) => {
  expect(() => resolveDeadLetters(given as DeadLetterConfig, env)).toThrow(
    expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(name) }),
  );
});
