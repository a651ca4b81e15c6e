import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { createProject, INDEX, type Project } from "./project.ts";

const FEATURES = `
import { CategoricalTransform, count, entity, featureService, featureView, kafka, label, latest, NumericTransform, streamSource, sum, t } from ${JSON.stringify(INDEX)};
export const card = entity("card", { card_id: t.int64() });
export const payments = streamSource("payments", {
  stream: kafka({ topic: "payments" }), eventTime: "at", lateness: "1m",
  schema: { card_id: t.int64(), amount: t.float64(), at: t.timestamp() },
});
export const logins = streamSource("logins", {
  stream: kafka({ topic: "logins" }), eventTime: "at", lateness: "1m",
  schema: { card_id: t.int64(), country: t.string(), at: t.timestamp() },
});
export const paying = featureView("paying", { source: payments, entity: card, features: { spend: sum(payments.amount).over("1h") } });
export const going = featureView("going", { source: logins, entity: card, features: { n: count().over("1h"), last: latest(logins.country) } });
export const guess = featureService("guess", { features: { spend: NumericTransform.of(CategoricalTransform.of(going.last).target(label("won", t.bool()))).fillNull(0) } });
export const plain = featureService("plain", { features: { spend: paying.spend } });
export const risk = featureService("risk", { features: { spend: NumericTransform.of(paying.spend).standardize(), n: going.n } });
`;

let project: Project;
beforeAll(async () => {
  project = await createProject({
    "features.ts": FEATURES,
    "labels.csv": "card_id,event_timestamp\n1,2026-03-01T00:00:00Z\n2,2026-03-01T00:00:00Z\n",
    "no-time.csv": "card_id,at\n1,2026-03-01T00:00:00Z\n",
    "no-key.csv": "event_timestamp\n2026-03-01T00:00:00Z\n",
    "bad-key.jsonl":
      '{"card_id":1,"event_timestamp":"2026-03-01T00:00:00Z"}\n{"card_id":"x","event_timestamp":"2026-03-01T00:00:00Z"}\n',
    "logins.jsonl": '{"card_id":1,"country":"de","at":"2026-03-01T00:00:00Z"}\n',
  });
});
afterAll(() => project[Symbol.asyncDispose]());

const fit = (...args: string[]): ReturnType<Project["run"]> => project.run(["beam", "fit", ...args]);

it.each([
  ["an unknown service", ["nothing", "--labels", "labels.csv"], "SERVICE_UNKNOWN", "guess, plain, risk"],
  ["a frame that is not there", ["risk", "--labels", "none.csv"], "FILE_NOT_FOUND", "none.csv"],
  ["a frame without moments", ["risk", "--labels", "no-time.csv"], "EVENT_TIMESTAMP_MISSING", "Row 0"],
  ["a frame without a key", ["risk", "--labels", "no-key.csv"], "LOOKUP_COLUMN_MISSING", "Row 0"],
  ["a row that cannot be read", ["risk", "--labels", "bad-key.jsonl"], "LOOKUP_INVALID", "Row 1"],
  ["a frame without a label", ["guess", "--labels", "labels.csv"], "LABEL_MISSING", "won"],
  [
    "a source without history",
    ["risk", "--labels", "labels.csv"],
    "BEAM_HISTORY_MISSING",
    "paying of source 'payments'",
  ],
  [
    "one of two sources without history",
    ["risk", "--labels", "labels.csv", "--files", "payments=logins.jsonl"],
    "BEAM_HISTORY_MISSING",
    "going of source 'logins'",
  ],
  [
    "files of no source",
    ["risk", "--labels", "labels.csv", "--files", "logins.jsonl"],
    "OPTION_INVALID",
    "source=path",
  ],
  [
    "files that are not there",
    ["plain", "--labels", "labels.csv", "--files", "none.jsonl"],
    "FILE_NOT_FOUND",
    "none.jsonl",
  ],
])("says what is wrong with %s", async (_what, args, code, words) => {
  const { code: exit, stderr } = await fit(...args);
  expect(stderr).toContain(code);
  expect(stderr).toContain(words);
  expect(exit).toBe(2);
});

it("writes the manifest of a service with nothing to fit, and says so, without a job where no profile is wanted", async () => {
  const { code, stdout, stderr } = await fit("plain", "--labels", "labels.csv", "--no-profile", "--out", "made/");
  expect(code, stderr).toBe(0);
  expect(stdout).toContain("plain has nothing to fit");
  expect(JSON.parse(await readFile(join(project.folder, "made/millrace.json"), "utf8"))).toMatchObject({
    service: "plain",
    transforms: {},
    features: ["spend"],
    keys: ["card_id"],
    knowledge: "event_time",
    rows: 2,
  });
});

it("says how it is called", async () => {
  const { stdout } = await fit("--help");
  expect(stdout).toContain("fit [options] <service> [options...]");
  for (const option of ["--labels <file>", "--files <source=path...>", "--out <file>", "--no-profile", "--knowledge"]) {
    expect(stdout).toContain(option);
  }
  const without = await fit("risk");
  expect(without.stderr).toContain("--labels <file>");
  expect(without.code).toBe(2);
});
