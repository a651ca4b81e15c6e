import { createHash } from "node:crypto";

import { setTimeout as wait } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openTestApi, payment, type TestApi, TOKEN } from "./open-api.ts";
import { NOW } from "./payments.ts";

let api: TestApi;
const admin = { authorization: `Bearer ${TOKEN}` };

beforeAll(async () => {
  api = await openTestApi();
  await api.push([payment("p1", 60), payment("p2", 30)]);
  await api.pipeline.advanceTo(NOW);
});
afterAll(async () => {
  await api.close();
});

const csv = (rows: number): string => {
  const lines = Array.from({ length: rows }, (_, i) => `c1,${i},${new Date(NOW - i).toISOString()}`);
  return `card_id,amount,event_timestamp\n${lines.join("\n")}\n`;
};
const announce = (text: string): object => ({
  format: "csv",
  bytes: Buffer.byteLength(text),
  sha256: createHash("sha256").update(text).digest("hex"),
});
const open = (body: object) => api.request("POST", "/v1/training-sets", { service: "risk_v1", ...body }, admin);
const send = (id: string, offset: number, text: string) =>
  api.request("PUT", `/v1/training-sets/${id}/frame?offset=${offset}`, text, {
    ...admin,
    "content-type": "application/octet-stream",
  });
async function settled(id: string): Promise<Awaited<ReturnType<typeof open>>["body"]> {
  const deadline = performance.now() + 30_000;
  while (performance.now() < deadline) {
    const { body } = await api.request("GET", `/v1/training-sets/${id}`, undefined, admin);
    if (body.state !== "running") return body;
    await wait(20);
  }
  throw new TypeError("the job did not end");
}

describe("training sets as jobs", () => {
  it("takes a frame in pieces, and gives the file, its manifest, and the same job for an equal request", async () => {
    const text = csv(40);
    const opened = await open({ format: "csv", frame: announce(text) });
    expect([opened.status, opened.body.state, opened.body.received]).toEqual([202, "uploading", 0]);
    const { id } = opened.body;
    expect((await send(id, 0, text.slice(0, 100))).body.received).toBe(100);
    // A piece that came already, or comes too early, changes nothing.
    expect((await send(id, 0, text.slice(0, 100))).body.received).toBe(100);
    expect((await open({ format: "csv", frame: announce(text) })).body).toMatchObject({ id, received: 100 });
    await send(id, 100, text.slice(100));
    const done = await settled(id);
    expect(done).toMatchObject({
      state: "done",
      millrace: { service: "risk_v1", rows: 40, features: ["n", "spend", "amount"] },
    });
    const file = await api.request("GET", `/v1/training-sets/${id}/file`, undefined, admin);
    expect(file.text.trim().split("\n")).toHaveLength(41);
    expect(Number(file.headers["content-length"])).toBe(done.bytes);
    expect((await open({ format: "csv", frame: announce(text) })).body).toMatchObject({ id, state: "done" });
    expect((await api.request("DELETE", `/v1/training-sets/${id}`, undefined, admin)).status).toBe(204);
    expect((await api.request("GET", `/v1/training-sets/${id}`, undefined, admin)).body.code).toBe(
      "TRAINING_SET_UNKNOWN",
    );
  });

  it("says what is wrong with the frame, and goes on once it is right", async () => {
    const wrong = `${csv(3)}c1,5,no time\n`;
    const { id } = (await open({ frame: announce(wrong) })).body;
    await send(id, 0, wrong);
    const failed = await settled(id);
    expect(failed.error).toMatchObject({ code: "EVENT_TIMESTAMP_MISSING", message: expect.stringContaining("Row 3") });
    const early = await api.request("GET", `/v1/training-sets/${id}/file`, undefined, admin);
    expect([early.status, early.body.code]).toEqual([400, "REQUEST_INVALID"]);
    const text = csv(5);
    const other = (await open({ frame: announce(text) })).body.id;
    await send(other, 0, text.replace("c1", "c2"));
    expect((await settled(other)).error).toMatchObject({ code: "FRAME_CORRUPT" });
  });

  it.each([
    ["nobody's request", {}, {}, 401, "UNAUTHORIZED"],
    ["neither frame nor query", {}, admin, 400, "REQUEST_INVALID"],
    ["an unknown service", { service: "none", sql: "SELECT 1" }, admin, 404, "SERVICE_UNKNOWN"],
    ["a query that is no text", { sql: 7 }, admin, 400, "REQUEST_INVALID"],
    ["no time for a query", { sql: "SELECT 1", timeout_seconds: 0 }, admin, 400, "REQUEST_INVALID"],
    ["an unknown format", { format: "xml", sql: "SELECT 1" }, admin, 400, "REQUEST_INVALID"],
    ["a frame without its hash", { frame: { format: "csv", bytes: 3, sha256: "?" } }, admin, 400, "REQUEST_INVALID"],
  ])("refuses %s", async (_what, body, headers, status, code) => {
    const answer = await api.request("POST", "/v1/training-sets", { service: "risk_v1", ...body }, headers);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
  });

  it("says so where the cold store runs no queries", async () => {
    const { id } = (await open({ sql: "SELECT 1" })).body;
    expect((await settled(id)).error).toMatchObject({ code: "SQL_UNAVAILABLE" });
  });
});
