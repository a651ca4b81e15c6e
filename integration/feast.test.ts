import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { FEAST } from "./services/feast-version.ts";
import { millraceProcess } from "./services/millrace-process.ts";
import { pythonEnvironment } from "./services/python-environment.ts";

const file = (name: string): string => fileURLToPath(new URL(`feast/${name}`, import.meta.url));
// biome-ignore lint/suspicious/noExplicitAny: the script's answers are of any shape
let results: any;

beforeAll(async () => {
  const python = join(pythonEnvironment([FEAST]), "python");
  const folder = await mkdtemp(join(tmpdir(), "millrace-feast-"));
  await using millrace = await millraceProcess(file("millrace.config.ts"));
  try {
    const run = spawnSync(python, [file("client.py"), folder, millrace.url], {
      encoding: "utf8",
      env: { ...process.env, FEAST_USAGE: "False" },
      maxBuffer: 2 ** 26,
    });
    expect(run.status, run.stderr).toBe(0);
    results = JSON.parse(run.stdout.trim().split("\n").at(-1)!);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

describe("Feast's SDK with its remote online store at Millrace", () => {
  it("reads what it pushed, with every type, nulls, and an entity that is not there", () => {
    const { values, statuses, types } = results.pushed;
    expect(values).toEqual({
      driver_id: [1, 2, 3],
      rating: [5, 4.25, null],
      trips: [2 ** 60, 3, null],
      seats: [4, 2, null],
      city: ["Gent", null, null],
      active: [true, false, null],
      hired_at: [Date.UTC(2020, 1, 3) / 1_000, null, null],
      badges: [["fast", "kind"], null, null],
    });
    // As text: the JSON above loses the last digit, which the client had.
    expect(results.pushed_trips).toBe(String(2n ** 60n + 1n));
    expect(statuses.rating).toEqual(["PRESENT", "PRESENT", "NOT_FOUND"]);
    expect(statuses.city).toEqual(["PRESENT", "NULL_VALUE", "NOT_FOUND"]);
    expect(types.rating.slice(0, 2)).toEqual(["double_val", "double_val"]);
    expect(types.trips[0]).toBe("int64_val");
    expect(types.badges[0]).toBe("string_list_val");
  });

  it("takes entities by columns, in their order", () => {
    expect(results.entity_columns.values.rating).toEqual([4.25, 5]);
  });

  it("reads what it wrote; nulls replace what was there", () => {
    expect(results.written.values).toMatchObject({ rating: [3.5], trips: [7], city: [null] });
    expect(results.written.statuses.city).toEqual(["NULL_VALUE"]);
  });

  it("does not let an older row win that is written later", () => {
    expect(results.older.values).toMatchObject({ rating: [3.5], trips: [7] });
  });

  it("takes a correction of the same event time, created later", () => {
    expect(results.corrected.values).toMatchObject({ rating: [4.5], trips: [8] });
  });

  it("tells what is older than the ttl", () => {
    expect(results.expired.values.rating).toEqual([null, null]);
    expect(results.expired.statuses.rating).toEqual(["OUTSIDE_MAX_AGE", "NOT_FOUND"]);
  });

  it("reads a feature service of several views in one request", () => {
    expect(results.push_status).toBe(200);
    const { values, statuses } = results.service;
    expect(values).toEqual({
      driver_id: [1, 9],
      card_id: ["a", "b"],
      rating: [4.5, null],
      trips: [8, null],
      spend: [12.5, 1],
    });
    expect(statuses.rating).toEqual(["PRESENT", "NOT_FOUND"]);
  });

  it("names features in full", () => {
    const { names, values } = results.full_names;
    expect(names).toEqual(["driver_id", "card_id", "driver_stats__rating", "card_activity__n"]);
    expect(values.card_activity__n).toEqual([2]);
  });

  it("makes a data frame, and reads a thousand entities at once", () => {
    expect(results.frame).toEqual({ card_id: ["a", "b", "z"], spend: [12.5, 1, 0] });
    expect(results.many).toEqual({ rows: 1_000, statuses: ["NOT_FOUND"] });
  });

  it("gives online_read values of the declared types, and the time of the event", () => {
    expect(results.online_read[1]).toEqual({
      rating: "double_val",
      trips: "int64_val",
      seats: "int32_val",
      city: null,
      active: "bool_val",
      hired_at: null,
      badges: null,
    });
    expect(results.online_read_at.slice(0, 16)).toBe(
      new Date(Date.parse(results.now) - 1_800_000).toISOString().slice(0, 16),
    );
  });

  it("answers Arrow on its own route, which pyarrow reads", () => {
    expect(results.arrow.service).toBe("ride_v1");
    expect(results.arrow.columns).toEqual({
      rating: [4.5, null],
      trips: [8, null],
      spend: [12.5, 1],
      "rating:status": ["PRESENT", "NOT_FOUND"],
      "trips:status": ["PRESENT", "NOT_FOUND"],
      "spend:status": ["PRESENT", "PRESENT"],
      ":head_overlap": [false, false],
    });
    expect(results.arrow.types).toMatchObject({ rating: "double", trips: "int64", ":head_overlap": "bool" });
    expect(results.arrow.types["rating:status"]).toMatch(/^dictionary<values=string/);
  });

  it("raises Feast's own errors with our reason", () => {
    expect(results.unknown_view).toMatchObject({ class: "FeatureViewNotFoundException" });
    expect(results.missing_key.message).toContain("driver_id");
    expect(results.computed).toMatchObject({ class: "FeastError" });
    expect(results.computed.message).toMatch(/FEATURE_COMPUTED: .*source 'payments'/);
    expect(results.bad_row.message).toMatch(/EVENTS_REJECTED: .*ahead of its arrival/);
    expect(results.health).toBe(200);
  });
});
