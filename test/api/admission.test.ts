import { channel } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { type Admission, createAdmission } from "../../src/api/admission.ts";
import { PREDICTION_CHANNEL, PREDICTION_START_CHANNEL } from "../../src/api/channels.ts";
import { routeClassOf } from "../../src/api/route-class.ts";

const started = channel(PREDICTION_START_CHANNEL);
const ended = channel(PREDICTION_CHANNEL);
let clock = 0;
let idle = 0;
let admission: Admission;

function open(targetDelayMs: number | null): void {
  clock = 0;
  idle = 0;
  admission = createAdmission({ targetDelayMs, now: () => clock, idle: () => idle });
}
const begin = (rows: number): void => started.publish({ model: "m", rows });
function end(rows: number, features = 0): void {
  const stages = { features, model: 0 };
  ended.publish({ model: "m", version: "1", rows, seconds: features, stages, outcome: "ok" });
}
/** A turn of the loop in which it did not wait for work. */
async function busyTurn(ms: number): Promise<void> {
  admission.admits("predict");
  clock += ms;
  await nextTurn();
}
afterEach(() => admission.close());

describe("admission", () => {
  it("takes everything while the loop waits for work", async () => {
    open(20);
    for (let i = 0; i < 50; i++) {
      clock += 10;
      idle += 9;
      expect(admission.admits("predict")).toBe(true);
      await nextTurn();
    }
  });

  it("takes a burst, and refuses once turns stay longer than the target for a tenth of a second", async () => {
    open(20);
    await busyTurn(300);
    expect(admission.admits("predict")).toBe(true);
    for (let i = 0; i < 4; i++) await busyTurn(60);
    expect(admission.admits("predict")).toBe(false);
    expect(admission.admits("features")).toBe(false);
  });

  it("refuses nothing while a queue after a pause is worked off", async () => {
    open(20);
    for (let turn = 300; turn > 15; turn *= 0.8) {
      expect(admission.admits("predict"), `turn of ${turn} ms`).toBe(true);
      await busyTurn(turn);
    }
  });

  it.each([
    ["/v1/models/m/predict", "application/problem+json; charset=utf-8", { status: 503, code: "OVERLOADED" }],
    ["/v2/models/m/infer", "application/json", { error: expect.any(String), code: "OVERLOADED" }],
    ["/v1/models/m/invocations", "application/json", { error_code: "OVERLOADED", message: expect.any(String) }],
  ])("refuses %s in the form that its clients read", async (url, type, expected) => {
    open(20);
    for (let i = 0; i < 5; i++) await busyTurn(60);
    let head: Record<string, unknown> = {};
    let text = "";
    const response = {
      writeHead: (_status: number, given: Record<string, unknown>) => {
        head = given;
        return response;
      },
      end: (body: string) => {
        text = body;
      },
    };
    const taken = admission.admit({ method: "POST", url } as IncomingMessage, response as unknown as ServerResponse);
    expect(taken).toBe(false);
    expect(head).toEqual({ "content-type": type, "content-length": text.length, "retry-after": "1" });
    expect(JSON.parse(text)).toMatchObject(expected);
  });

  it("never refuses health and administration, and batches before single predictions", async () => {
    open(20);
    for (let i = 0; i < 6; i++) await busyTurn(60);
    expect(admission.admits("predict")).toBe(false);
    expect(admission.admits("health")).toBe(true);
    expect(admission.admits("admin")).toBe(true);
    await busyTurn(30);
    // Half of the last turn: 15 ms.
    expect(admission.admits("batch")).toBe(false);
    expect(admission.admits("predict")).toBe(true);
  });

  it("takes requests again as soon as a turn is short", async () => {
    open(20);
    for (let i = 0; i < 6; i++) await busyTurn(60);
    expect(admission.admits("predict")).toBe(false);
    await nextTurn();
    clock += 5;
    expect(admission.admits("predict")).toBe(true);
  });

  it("stays strict for a second after it refused, though the loop has time now and then", async () => {
    open(20);
    for (let i = 0; i < 6; i++) await busyTurn(60);
    expect(admission.admits("predict")).toBe(false);
    // A loop that waits for work a little between long turns: without memory it would take whatever comes.
    for (let i = 0; i < 10; i++) {
      clock += 1;
      idle += 1;
      await busyTurn(0);
      expect(admission.admits("predict")).toBe(true);
      clock += 60;
      expect(admission.admits("predict"), `turn ${i}`).toBe(false);
      await nextTurn();
    }
    clock += 1_100;
    idle += 1_100;
    expect(admission.admits("predict")).toBe(true);
    clock += 60;
    expect(admission.admits("predict")).toBe(true);
  });

  it("does not count how long a slow store takes as a queue, but bounds what waits for it", async () => {
    open(20);
    // 200 ms for each, 100 at once: half a row a millisecond, and no queue.
    for (let i = 0; i < 20; i++) {
      for (let row = 0; row < 100; row++) begin(1);
      clock += 200;
      idle += 199;
      expect(admission.admits("predict"), `turn ${i}`).toBe(true);
      for (let row = 0; row < 100; row++) end(1, 0.2);
      await nextTurn();
    }
    for (let row = 0; row < 19_999; row++) begin(1);
    expect(admission.rowsInFlight).toBe(19_999);
    begin(1);
    expect(admission.admits("predict")).toBe(false);
    for (let row = 0; row < 20_000; row++) end(1, 0.2);
  });

  it("counts rows in flight by what they take of the loop's time, whatever they wait for", async () => {
    open(20);
    // 200 ms for the store, and 1 ms of the loop's time for each.
    for (let i = 0; i < 6; i++) {
      for (let row = 0; row < 100; row++) begin(1);
      clock += 300;
      idle += 200;
      admission.admits("predict");
      for (let row = 0; row < 100; row++) end(1, 0.2);
      await nextTurn();
    }
    for (let row = 0; row < 60; row++) begin(1);
    for (let i = 0; i < 6; i++) await busyTurn(15);
    expect(admission.admits("predict")).toBe(false);
    for (let row = 0; row < 60; row++) end(1, 0.2);
  });

  it("counts what a request has waited already", () => {
    open(20);
    expect(admission.admits("predict", 490)).toBe(true);
    expect(admission.admits("predict", 510)).toBe(false);
    // From then on there is a standing queue.
    expect(admission.admits("predict", 25)).toBe(false);
    expect(admission.admits("predict", 15)).toBe(true);
  });

  it("counts what waits in rows, at the rate at which rows are done", async () => {
    open(20);
    begin(100);
    clock = 100;
    end(100);
    // One row a millisecond.
    begin(60);
    for (let i = 0; i < 6; i++) {
      clock += 50;
      idle += 50;
      expect(admission.admits("predict"), `turn ${i}`).toBe(i < 3);
      await nextTurn();
    }
    expect(admission.rowsInFlight).toBe(60);
    end(60);
    await nextTurn();
    expect(admission.admits("predict")).toBe(true);
  });

  it("takes no more for a large batch than its chunk that is under way", async () => {
    open(100);
    begin(100);
    clock = 100;
    end(100);
    begin(100_000);
    expect(admission.rowsInFlight).toBe(64);
    for (let i = 0; i < 6; i++) {
      clock += 50;
      idle += 50;
      expect(admission.admits("predict")).toBe(true);
      await nextTurn();
    }
    end(100_000);
  });

  it("takes everything without a target", async () => {
    open(null);
    for (let i = 0; i < 5; i++) await busyTurn(500);
    expect(admission.admits("batch")).toBe(true);
  });
});

describe("the class of a request", () => {
  it.each([
    ["GET", "/readyz", "health"],
    ["GET", "/livez", "health"],
    ["GET", "/metrics", "health"],
    ["GET", "/v2/health/ready", "admin"],
    ["POST", "/v1/models/a/predict", "predict"],
    ["POST", "/v1/models/a/predict?x=1", "predict"],
    ["POST", "/v1/models/a/invocations", "predict"],
    ["POST", "/v2/models/a/infer", "predict"],
    ["POST", "/v2/models/a/versions/3/infer", "predict"],
    ["POST", "/invocations", "predict"],
    ["POST", "/v1/models/a/predict-batch", "batch"],
    ["POST", "/v1/features/online", "features"],
    ["POST", "/get-online-features", "features"],
    ["POST", "/push", "batch"],
    ["POST", "/v1/sources/clicks/events", "batch"],
    ["POST", "/v1/sources/clicks/reset", "admin"],
    ["POST", "/v1/models/a/rollback", "admin"],
    ["POST", "/v1/apply", "admin"],
  ])("of %s %s is %s", (method, url, kind) => {
    expect(routeClassOf(method, url)).toBe(kind);
  });
});
