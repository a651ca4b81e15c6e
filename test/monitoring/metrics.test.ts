import { channel } from "node:diagnostics_channel";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import * as api from "../../src/api/channels.ts";
import { BEAM_PROGRESS_CHANNEL, type BeamProgressEvent } from "../../src/feature_engineering/beam/channels.ts";
import * as engine from "../../src/feature_engineering/engine/channels.ts";
import * as store from "../../src/feature_store/channels.ts";
import * as ingestion from "../../src/ingestion/channels.ts";
import { BEAM_SECTION, METRIC_SECTIONS } from "../../src/monitoring/metric-sections.ts";
import { createMetrics, type Metrics } from "../../src/monitoring/metrics.ts";
import { type ParsedExposition, parseExposition } from "./parse-exposition.ts";

const NOW = Date.UTC(2026, 0, 2);

let main: Metrics;
let pipeline: Metrics;
beforeEach(() => {
  main = createMetrics({ thread: "main", now: () => NOW });
  pipeline = createMetrics({ thread: "pipeline", now: () => NOW });
});
afterEach(() => {
  main.close();
  pipeline.close();
});

async function scrape(metrics: Metrics, accept = ""): Promise<ParsedExposition> {
  return parseExposition((await metrics.render(accept)).body);
}

const predicted = (event: Partial<api.PredictionEvent> = {}): void =>
  channel(api.PREDICTION_CHANNEL).publish({
    model: "delay",
    version: "3",
    rows: 2,
    seconds: 0.004,
    stages: { features: 0.001, model: 0.0005 },
    outcome: "ok",
    ...event,
  } satisfies api.PredictionEvent);

const loaded = (event: Partial<api.ModelLoadEvent> = {}): void =>
  channel(api.MODEL_LOAD_CHANNEL).publish({
    model: "delay",
    version: "3",
    seconds: 0.25,
    outcome: "ok",
    sizeBytes: 5_000,
    ...event,
  } satisfies api.ModelLoadEvent);

describe("metrics of predictions", () => {
  it("count answered requests, their rows and their latencies", async () => {
    for (const seconds of [0.004, 0.004, 0.1]) predicted({ seconds });
    const seen = await scrape(main);
    expect(seen.value("millrace_prediction_requests_total", { model: "delay", outcome: "ok" })).toBe(3);
    expect(seen.value("millrace_predictions_total", { model: "delay" })).toBe(6);
    expect(seen.value("millrace_prediction_duration_seconds_count", { model: "delay" })).toBe(3);
    expect(seen.value("millrace_prediction_duration_seconds_sum", { model: "delay" })).toBeCloseTo(0.108, 12);
    expect(seen.value("millrace_prediction_duration_seconds_bucket", { model: "delay", le: "0.1" })).toBe(3);
    expect(seen.value("millrace_prediction_duration_seconds_bucket", { model: "delay", le: "0.09441" })).toBe(2);
    const stage = (name: string) =>
      seen.value("millrace_prediction_stage_duration_seconds_sum", { model: "delay", stage: name });
    expect(stage("features")).toBeCloseTo(0.003, 12);
    expect(stage("model")).toBeCloseTo(0.0015, 12);
  });

  it("name in OpenMetrics the trace of a bucket's newest traced request, and nothing where none is recorded", async () => {
    let trace: string | null = null;
    using traced = createMetrics({ thread: "main", now: () => NOW, traceId: () => trace });
    predicted({ seconds: 0.1 });
    expect((await traced.render("application/openmetrics-text")).body).not.toContain(" # {");
    for (const id of ["a".repeat(32), "b".repeat(32), null]) {
      trace = id;
      predicted({ seconds: 0.004 });
    }
    const { body } = await traced.render("application/openmetrics-text");
    const exemplars = body.split("\n").filter((line) => line.includes(" # {"));
    expect(exemplars).toHaveLength(1);
    expect(exemplars[0]).toMatch(
      /^millrace_prediction_duration_seconds_bucket\{le="0\.004217",model="delay"\} 3 # \{trace_id="b{32}"\} 0\.004 \d+\.?\d*$/,
    );
    expect((await traced.render("")).body).not.toContain(" # {");
  });

  it("count failed requests by code, and leave them out of latencies and rows", async () => {
    predicted();
    predicted({ outcome: "LOOKUP_INVALID", version: null, seconds: 9 });
    const seen = await scrape(main);
    expect(seen.value("millrace_prediction_requests_total", { model: "delay", outcome: "LOOKUP_INVALID" })).toBe(1);
    expect(seen.value("millrace_prediction_duration_seconds_count", { model: "delay" })).toBe(1);
    expect(seen.value("millrace_predictions_total", { model: "delay" })).toBe(2);
  });

  it("make no series of a name that callers invent", async () => {
    for (let i = 0; i < 5; i++) predicted({ model: `guess-${i}`, version: null, outcome: "MODEL_UNKNOWN" });
    loaded({ model: "broken", outcome: "MODEL_CORRUPT", sizeBytes: null });
    predicted({ model: "broken", version: null, outcome: "MODEL_NOT_READY" });
    const { samples } = (await scrape(main)).families.get("millrace_prediction_requests_total")!;
    expect(samples.map(({ labels, value }) => [labels.model, labels.outcome, value])).toEqual([
      ["unknown", "MODEL_UNKNOWN", 5],
      ["broken", "MODEL_NOT_READY", 1],
    ]);
  });

  it("count batches and their rows, by loaded model", async () => {
    loaded();
    const batch = { model: "delay", format: "csv", rows: 10, failed: 3, seconds: 1, outcome: "ok" };
    for (const event of [
      batch,
      { ...batch, failed: 0 },
      { ...batch, model: "guess", rows: 0, outcome: "MODEL_UNKNOWN" },
    ]) {
      channel(api.BATCH_CHANNEL).publish(event satisfies api.BatchEvent);
    }
    const seen = await scrape(main);
    const ended = { model: "delay", format: "csv", outcome: "ok" };
    expect(seen.value("millrace_batches_total", ended)).toBe(2);
    expect(seen.value("millrace_batches_total", { ...ended, model: "unknown", outcome: "MODEL_UNKNOWN" })).toBe(1);
    expect(seen.value("millrace_batch_rows_total", { model: "delay", outcome: "ok" })).toBe(17);
    expect(seen.value("millrace_batch_rows_total", { model: "delay", outcome: "error" })).toBe(3);
  });

  it("show what is in flight, never less than nothing", async () => {
    const inFlight = async () => (await scrape(main)).value("millrace_prediction_requests_in_flight");
    const begin = () => channel(api.PREDICTION_START_CHANNEL).publish(undefined);
    expect(await inFlight()).toBe(0);
    predicted();
    begin();
    begin();
    begin();
    predicted({ outcome: "STORE_DOWN" });
    expect(await inFlight()).toBe(2);
  });
});

describe("metrics of models", () => {
  it("count loads by outcome and remember when one last succeeded", async () => {
    loaded();
    loaded({ version: "4", outcome: "SIGNATURE_MISMATCH", seconds: 0.5 });
    const seen = await scrape(main);
    expect(seen.value("millrace_model_loads_total", { model: "delay", outcome: "ok" })).toBe(1);
    expect(seen.value("millrace_model_loads_total", { model: "delay", outcome: "SIGNATURE_MISMATCH" })).toBe(1);
    expect(seen.value("millrace_model_load_duration_seconds_sum", { model: "delay" })).toBe(0.75);
    expect(seen.value("millrace_model_last_load_timestamp_seconds", { model: "delay" })).toBe(NOW / 1_000);
  });

  it("do not call a failed load a load", async () => {
    loaded({ outcome: "MODEL_CORRUPT" });
    expect((await scrape(main)).families.get("millrace_model_last_load_timestamp_seconds")!.samples).toEqual([]);
  });

  it("show one version per model as serving, with its size, also after a rollback", async () => {
    const swap = (version: string, previous: string | null) =>
      channel(api.MODEL_SWAP_CHANNEL).publish({ model: "delay", version, previous } satisfies api.ModelSwapEvent);
    const serving = async () => {
      const seen = await scrape(main);
      return [
        seen.families.get("millrace_model_serving_info")!.samples.map(({ labels, value }) => [labels.version, value]),
        seen.value("millrace_model_size_bytes", { model: "delay" }),
      ];
    };
    loaded();
    expect(await serving()).toEqual([[], undefined]);
    swap("3", null);
    expect(await serving()).toEqual([[["3", 1]], 5_000]);
    loaded({ version: "4", sizeBytes: 7_000 });
    expect(await serving()).toEqual([[["3", 1]], 5_000]);
    swap("4", "3");
    expect(await serving()).toEqual([[["4", 1]], 7_000]);
    swap("3", "4");
    expect(await serving()).toEqual([[["3", 1]], 5_000]);
    swap("5", "3");
    expect(await serving()).toEqual([[["5", 1]], undefined]);
  });
});

it("HTTP requests are counted by method, route and status", async () => {
  const request = (method: string, status: number, seconds: number) =>
    channel(api.HTTP_REQUEST_CHANNEL).publish({
      method,
      route: "/v1/models/:name/predict",
      status,
      seconds,
    } satisfies api.HttpRequestEvent);
  request("POST", 200, 0.002);
  request("POST", 200, 0.002);
  request("POST", 404, 0.001);
  request("GET", 404, 0.001);
  const seen = await scrape(main);
  const count = (method: string, status: string) =>
    seen.value("millrace_http_requests_total", { method, route: "/v1/models/:name/predict", status });
  expect([count("POST", "200"), count("POST", "404"), count("GET", "404")]).toEqual([2, 1, 1]);
  const labels = { method: "POST", route: "/v1/models/:name/predict" };
  expect(seen.value("millrace_http_request_duration_seconds_count", labels)).toBe(3);
  expect(seen.value("millrace_http_request_duration_seconds_sum", labels)).toBeCloseTo(0.005, 12);
});

describe("metrics of online reads", () => {
  const inputViews = ["sent", "received", null, "sent"];
  const read = (event: Partial<store.OnlineReadEvent> = {}): void =>
    channel(store.ONLINE_READ_CHANNEL).publish({
      service: "risk",
      rows: 2,
      hits: 3,
      misses: 1,
      unavailable: 1,
      cacheHits: 4,
      cacheMisses: 2,
      cacheAgeSeconds: 0.25,
      headOverlaps: 1,
      seconds: 0.00002,
      inputViews,
      statuses: () => [
        ["PRESENT", "NULL_VALUE", "PRESENT", "OUTSIDE_MAX_AGE"],
        ["PRESENT", "NOT_FOUND", "NULL_VALUE", "NULL_VALUE"],
      ],
      ...event,
    } satisfies store.OnlineReadEvent);

  it("count rows, hits, misses and overlaps per service, and statuses per view", async () => {
    read();
    read({
      rows: 1,
      hits: 0,
      misses: 2,
      cacheHits: 0,
      headOverlaps: 0,
      statuses: () => [["NOT_FOUND", "UNAVAILABLE", "PRESENT", "NOT_FOUND"]],
    });
    const seen = await scrape(main);
    const of = (name: string) => seen.value(name, { service: "risk" });
    expect(of("millrace_online_read_rows_total")).toBe(3);
    expect(of("millrace_online_store_hits_total")).toBe(3);
    expect(of("millrace_online_store_misses_total")).toBe(3);
    expect(of("millrace_online_store_unavailable_total")).toBe(2);
    expect(of("millrace_online_cache_hits_total")).toBe(4);
    expect(of("millrace_online_cache_misses_total")).toBe(4);
    // A read that used no cache has no age.
    expect(of("millrace_online_cache_age_seconds_count")).toBe(1);
    expect(of("millrace_online_cache_age_seconds_sum")).toBeCloseTo(0.25, 12);
    expect(of("millrace_online_read_head_overlaps_total")).toBe(1);
    expect(of("millrace_online_read_duration_seconds_count")).toBe(2);
    expect(of("millrace_online_read_duration_seconds_sum")).toBeCloseTo(0.00004, 12);
    const status = (view: string, name: string) =>
      seen.value("millrace_feature_statuses_total", { view, status: name });
    const names = ["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE", "UNAVAILABLE"];
    expect(names.map((name) => status("sent", name))).toEqual([2, 1, 2, 1, 0]);
    expect(names.map((name) => status("received", name))).toEqual([0, 1, 1, 0, 1]);
  });

  it("follow a service whose views were declared anew", async () => {
    read();
    read({ inputViews: ["other"], statuses: () => [["PRESENT"]] });
    const seen = await scrape(main);
    expect(seen.value("millrace_feature_statuses_total", { view: "other", status: "PRESENT" })).toBe(1);
    expect(seen.value("millrace_feature_statuses_total", { view: "sent", status: "PRESENT" })).toBe(2);
  });
});

describe("metrics of ingestion", () => {
  const batch = (event: Partial<ingestion.IngestionBatchEvent> = {}): void =>
    channel(ingestion.INGESTION_BATCH_CHANNEL).publish({
      source: "payments",
      partition: "0",
      messages: 8,
      deadLetters: 2,
      deadLetterCodes: { DECODE_FAILED: 2 },
      lastOffset: 9,
      lastEventTime: NOW,
      decodeSeconds: 0.001,
      handleSeconds: 0.01,
      ...event,
    } satisfies ingestion.IngestionBatchEvent);
  const lag = (...partitions: Partial<ingestion.PartitionStatus>[]): void =>
    channel(ingestion.INGESTION_LAG_CHANNEL).publish({
      source: "payments",
      partitions: partitions.map((status) => ({
        partition: "0",
        lastOffset: null,
        lastEventTime: null,
        lagMessages: null,
        lagSeconds: null,
        ...status,
      })),
    } satisfies ingestion.IngestionLagEvent);
  const lags = async () => {
    const { families } = await scrape(pipeline);
    return ["messages", "seconds"].map((unit) =>
      families.get(`millrace_ingestion_lag_${unit}`)!.samples.map(({ labels, value }) => [labels.partition, value]),
    );
  };

  it("show when a partition's position was last kept", async () => {
    batch();
    const seen = await scrape(pipeline);
    const at = seen.value("millrace_ingestion_last_checkpoint_timestamp_seconds", {
      source: "payments",
      partition: "0",
    });
    expect(at).toBe(NOW / 1_000);
  });

  it("count events, dead letters by code, and batches", async () => {
    batch();
    batch({ messages: 1, deadLetters: 1, deadLetterCodes: { EVENT_TOO_NEW: 1 } });
    const seen = await scrape(pipeline);
    expect(seen.value("millrace_ingestion_events_total", { source: "payments" })).toBe(9);
    const dead = (code: string) => seen.value("millrace_ingestion_dead_letters_total", { source: "payments", code });
    expect([dead("DECODE_FAILED"), dead("EVENT_TOO_NEW")]).toEqual([2, 1]);
    expect(seen.value("millrace_ingestion_batch_messages_count", { source: "payments" })).toBe(2);
    expect(seen.value("millrace_ingestion_batch_messages_sum", { source: "payments" })).toBe(12);
    const stage = (name: string) =>
      seen.value("millrace_ingestion_batch_duration_seconds_sum", { source: "payments", stage: name });
    expect(stage("decode")).toBeCloseTo(0.002, 12);
    expect(stage("handle")).toBeCloseTo(0.02, 12);
  });

  it("keep the newest event time of each partition", async () => {
    batch();
    batch({ lastEventTime: NOW - 5_000 });
    batch({ lastEventTime: null });
    batch({ partition: "1", lastEventTime: 1_500 });
    const seen = await scrape(pipeline);
    const newest = (partition: string) =>
      seen.value("millrace_ingestion_last_event_timestamp_seconds", { source: "payments", partition });
    expect([newest("0"), newest("1")]).toEqual([NOW / 1_000, 1.5]);
  });

  it("show the lag of each partition, and none where it is unknown", async () => {
    lag({ lagMessages: 12, lagSeconds: 3.5 }, { partition: "1", lagMessages: 0, lagSeconds: 0 });
    expect(await lags()).toEqual([
      [
        ["0", 12],
        ["1", 0],
      ],
      [
        ["0", 3.5],
        ["1", 0],
      ],
    ]);
    lag({ lagMessages: null, lagSeconds: 2 });
    expect(await lags()).toEqual([
      [["1", 0]],
      [
        ["0", 2],
        ["1", 0],
      ],
    ]);
  });

  it("keep the lag of partitions that another loop of the source tells of", async () => {
    lag({ partition: "file", lagMessages: 5 });
    lag({ partition: "http:0", lagMessages: 1 });
    expect((await lags())[0]).toEqual([
      ["file", 5],
      ["http:0", 1],
    ]);
  });
});

describe("metrics of the engine", () => {
  const batch = (event: Partial<engine.EngineBatchEvent> = {}): void =>
    channel(engine.ENGINE_BATCH_CHANNEL).publish({
      source: "payments",
      events: 10,
      duplicates: 3,
      conflicts: 2,
      nullKeys: 4,
      writes: 7,
      commitSeconds: 0.01,
      foldSeconds: 0.02,
      writeSeconds: 0.03,
      clock: NOW,
      views: ["sent", "received"],
      newestEventTime: NOW,
      ...event,
    } satisfies engine.EngineBatchEvent);

  it("add up batches and show the clock", async () => {
    batch();
    batch({ nullKeys: 6, clock: NOW + 500 });
    const seen = await scrape(pipeline);
    const of = (name: string) => seen.value(`millrace_engine_${name}`, { source: "payments" });
    expect(of("events_total")).toBe(20);
    expect(of("duplicates_total")).toBe(6);
    expect(of("id_conflicts_total")).toBe(4);
    expect(of("hot_store_writes_total")).toBe(14);
    expect(of("clock_timestamp_seconds")).toBe(NOW / 1_000 + 0.5);
    const stage = (name: string) =>
      seen.value("millrace_engine_batch_duration_seconds_sum", { source: "payments", stage: name });
    expect([stage("commit"), stage("fold"), stage("write")]).toEqual([0.02, 0.04, 0.06]);
  });

  it("take null keys as the count since the engine was made, also when it is made anew", async () => {
    for (const nullKeys of [4, 6, 6, 1, 3]) batch({ nullKeys });
    expect((await scrape(pipeline)).value("millrace_engine_null_keys_total", { source: "payments" })).toBe(9);
  });

  it("show no clock before there is one", async () => {
    batch({ clock: Number.NEGATIVE_INFINITY });
    expect((await scrape(pipeline)).families.get("millrace_engine_clock_timestamp_seconds")!.samples).toEqual([]);
  });

  it("show per view its newest event, which never goes back, also while it is filled", async () => {
    batch();
    batch({ newestEventTime: NOW - 60_000 });
    batch({ newestEventTime: null });
    const newest = (seen: ParsedExposition) =>
      ["sent", "received"].map((view) =>
        seen.value("millrace_view_newest_event_timestamp_seconds", { view, source: "payments" }),
      );
    expect(newest(await scrape(pipeline))).toEqual([NOW / 1_000, NOW / 1_000]);
    channel(engine.ENGINE_RECOVERY_CHANNEL).publish({
      source: "payments",
      events: 1,
      total: 1,
      done: true,
      views: ["received"],
      newestEventTime: NOW + 5_000,
    } satisfies engine.EngineRecoveryEvent);
    expect(newest(await scrape(pipeline))).toEqual([NOW / 1_000, NOW / 1_000 + 5]);
  });

  it("show how far a recovery is", async () => {
    const recovery = (events: number, done: boolean) =>
      channel(engine.ENGINE_RECOVERY_CHANNEL).publish({
        source: "payments",
        events,
        total: 100,
        done,
        views: ["sent"],
        newestEventTime: NOW,
      } satisfies engine.EngineRecoveryEvent);
    const state = async () => {
      const seen = await scrape(pipeline);
      return ["folded", "pending"].map((n) =>
        seen.value(`millrace_engine_recovery_${n}_events`, { source: "payments" }),
      );
    };
    recovery(0, false);
    expect(await state()).toEqual([0, 100]);
    recovery(40, false);
    expect(await state()).toEqual([40, 60]);
    recovery(90, true);
    expect(await state()).toEqual([90, 0]);
  });
});

describe("a scrape", () => {
  it("of both threads has each documented family, and no other", async () => {
    const documented = METRIC_SECTIONS.flatMap(({ families }) => families);
    const shown = new Map([...(await scrape(main)).families, ...(await scrape(pipeline)).families]);
    expect([...shown.keys()].sort()).toEqual(documented.map(({ name }) => name).sort());
    for (const { name, type } of documented) expect(shown.get(name)!.type).toBe(type);
  });

  it("shares between the threads only what tells them apart by a label", async () => {
    const second = new Set((await scrape(pipeline)).families.keys());
    const shared = [...(await scrape(main)).families.keys()].filter((name) => second.has(name));
    expect(shared.length).toBeGreaterThan(0);
    expect(shared.filter((name) => !name.startsWith("millrace_thread_"))).toEqual([]);
  });

  it("says the same in both formats, in any order of scrapes", async () => {
    predicted();
    const accept = "application/openmetrics-text;version=1.0.0";
    expect((await main.render(accept)).contentType).toMatch(/^application\/openmetrics-text; version=1\.0\.0/);
    expect((await main.render("")).contentType).toMatch(/^text\/plain; version=0\.0\.4/);
    const [a, om, b] = await Promise.all([scrape(main), scrape(main, accept), scrape(main)]);
    for (const seen of [a, om, b]) {
      expect(seen.value("millrace_predictions_total", { model: "delay" })).toBe(2);
      expect(seen.value("process_cpu_seconds_total")).toBeGreaterThan(0);
    }
    expect(om.openmetrics).toBe(true);
    expect(om.families.get("millrace_predictions")!.type).toBe("counter");
    expect([...b.families.keys()]).toEqual([...a.families.keys()]);
  });

  it("escapes what names may contain", async () => {
    const model = 'a\\b"c\nd';
    predicted({ model });
    expect((await scrape(main)).value("millrace_predictions_total", { model })).toBe(2);
  });

  it("counts nothing after close, and still shows what was counted", async () => {
    predicted();
    main.close();
    predicted();
    expect((await scrape(main)).value("millrace_predictions_total", { model: "delay" })).toBe(2);
    pipeline.close();
    const names = [api, store, ingestion, engine].flatMap((channels) => Object.values(channels) as string[]);
    expect(names.filter((name) => channel(name).hasSubscribers)).toEqual([]);
  });

  it("shows the process and the thread", async () => {
    const cpuSeconds = (): number => (process.cpuUsage().user + process.cpuUsage().system) / 1e6;
    const before = cpuSeconds();
    const seen = await scrape(main);
    expect(seen.value("process_cpu_seconds_total")).toBeGreaterThanOrEqual(before);
    expect(seen.value("process_cpu_seconds_total")).toBeLessThanOrEqual(cpuSeconds());
    expect(seen.value("process_resident_memory_bytes")).toBeGreaterThan(1e7);
    expect(Math.abs(seen.value("process_start_time_seconds")! - (Date.now() / 1_000 - process.uptime()))).toBeLessThan(
      5,
    );
    expect(seen.value("nodejs_version_info", { version: process.version })).toBe(1);
    const used = seen.value("millrace_thread_heap_used_bytes", { thread: "main" })!;
    expect(used).toBeGreaterThan(1e6);
    expect(seen.value("millrace_thread_heap_limit_bytes", { thread: "main" })).toBeGreaterThan(used);
    expect(seen.value("millrace_thread_event_loop_active_seconds_total", { thread: "main" })).toBeGreaterThan(0);
  });
});

it("shows what a job of Apache Beam tells its launcher, and no count goes back", async () => {
  using launcher = createMetrics({ thread: "beam", now: () => NOW });
  const tell = (event: Partial<BeamProgressEvent>): void =>
    channel(BEAM_PROGRESS_CHANNEL).publish({
      ...{
        source: "payments",
        running: true,
        counters: {},
        newestEventTime: null,
        watermark: null,
        backlog: null,
        checkpointAt: null,
      },
      ...event,
    } satisfies BeamProgressEvent);
  tell({
    counters: { events: 7, dead_letters: 2, writes: 3 },
    newestEventTime: NOW - 1_000,
    checkpointAt: NOW - 5_000,
  });
  tell({ counters: {}, watermark: NOW - 2_000, backlog: 7 });
  const seen = await scrape(launcher);
  const of = (name: string) => seen.value(`millrace_beam_${name}`, { source: "payments" });
  expect([of("running"), of("events_total"), of("dead_letters_total"), of("hot_store_writes_total")]).toEqual([
    1, 7, 2, 3,
  ]);
  const times = ["newest_event", "watermark", "last_checkpoint"].map((name) => of(`${name}_timestamp_seconds`));
  expect(times).toEqual([NOW / 1_000 - 1, NOW / 1_000 - 2, NOW / 1_000 - 5]);
  expect([of("watermark_lag_seconds"), of("backlog_messages")]).toEqual([2, 7]);
  expect([...seen.families.keys()].filter((name) => name.startsWith("millrace_beam_")).sort()).toEqual(
    BEAM_SECTION.families.map(({ name }) => name),
  );
  tell({ running: false });
  expect((await scrape(launcher)).value("millrace_beam_running", { source: "payments" })).toBe(0);
});
