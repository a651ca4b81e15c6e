import { channel } from "node:diagnostics_channel";
import { readdirSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import * as arrow from "apache-arrow";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { BATCH_CHANNEL, type BatchEvent } from "../../src/api/channels.ts";
import { duckdbFrameFiles } from "../../src/feature_store/offline/duckdb-frame-files.ts";
import { writeModel } from "./models/write-model.ts";
import { openTestApi, payment, type TestApi } from "./open-api.ts";
import { NOW, RISK_COLUMNS } from "./payments.ts";

let api: TestApi;
let url: string;
let folder: string;
const events: BatchEvent[] = [];
const listen = (event: unknown): void => void events.push(event as BatchEvent);
beforeAll(async () => {
  channel(BATCH_CHANNEL).subscribe(listen);
  api = await openTestApi({ maxRows: 10 });
  await writeModel(join(api.folder, "risk", "3"), { answer: 0.25, above: 0.75, features: RISK_COLUMNS });
  await api.models.refresh();
  await api.push([payment("p1", 60), payment("p2", 30)]);
  url = `${(await api.server.listen({ host: "127.0.0.1", port: 0 })).url}/v1/models/risk/predict-batch`;
  folder = await mkdtemp(join(tmpdir(), "millrace-predict-batch-"));
  // The server's temporary files, apart from those of other processes.
  vi.stubEnv("TMPDIR", folder);
});
afterAll(async () => {
  channel(BATCH_CHANNEL).unsubscribe(listen);
  await api.close();
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

const TYPES = {
  json: "application/json",
  ndjson: "application/x-ndjson",
  csv: "text/csv",
  stream: "application/vnd.apache.arrow.stream",
  file: "application/vnd.apache.arrow.file",
  parquet: "application/vnd.apache.parquet",
} as const;
type Name = keyof typeof TYPES;

interface Row {
  readonly n: number;
  readonly spend: number | null;
  readonly amount: number;
}
const rowsOf = (count: number): Row[] =>
  Array.from({ length: count }, (_, i) => ({
    n: (i * 7) % 5 === 0 ? -1 : i,
    spend: i % 3 === 0 ? null : i / 2,
    amount: 1,
  }));
const expectedOf = (rows: readonly Row[]): number[] => rows.map(({ n }) => (n < 0 ? 0.25 : 0.75));

async function encode(name: Name, rows: readonly Row[]): Promise<Buffer> {
  switch (name) {
    case "json":
      return Buffer.from(JSON.stringify(rows));
    case "ndjson":
      return Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    case "csv":
      return Buffer.from(
        `amount,n,spend\n${rows.map((row) => `${row.amount},${row.n},${row.spend ?? ""}\n`).join("")}`,
      );
    case "parquet": {
      const files = await duckdbFrameFiles(folder);
      const path = join(folder, "given.parquet");
      const columns = ["n", "spend", "amount"] as const;
      await files.writeParquet(
        path,
        columns.map((column) => ({ name: column, type: { kind: "float64", nullable: true } })),
        [{ count: rows.length, columns: columns.map((column) => rows.map((row) => row[column])) }],
      );
      await files.close();
      return readFile(path);
    }
    default: {
      const table = new arrow.Table({
        n: arrow.vectorFromArray(
          rows.map((row) => row.n),
          new arrow.Float64(),
        ),
        spend: arrow.vectorFromArray(
          rows.map((row) => row.spend),
          new arrow.Float64(),
        ),
        amount: arrow.vectorFromArray(
          rows.map((row) => row.amount),
          new arrow.Float64(),
        ),
      });
      return Buffer.from(arrow.tableToIPC(table, name));
    }
  }
}

async function decode(name: Name, bytes: Buffer): Promise<unknown[]> {
  const text = bytes.toString();
  switch (name) {
    case "json":
      return JSON.parse(text).predictions.map((row: { probability: number }) => row.probability);
    case "ndjson":
      return text
        .split("\n")
        .filter(Boolean)
        .map((line) => JSON.parse(line).probability);
    case "csv":
      return text
        .split("\n")
        .slice(1)
        .filter(Boolean)
        .map((line) => Number(line.split(",")[0]));
    case "parquet": {
      const files = await duckdbFrameFiles(folder);
      const path = join(folder, "answered.parquet");
      await writeFile(path, bytes);
      const values: unknown[] = [];
      const reader = await files.open(path);
      for await (const batch of reader.read(0)) values.push(...batch.columns[0]!);
      await reader.close();
      await files.close();
      return values;
    }
    default:
      return [...arrow.tableFromIPC(bytes).getChild("probability")!];
  }
}

async function send(name: Name, body: Buffer | string, options: { query?: string; headers?: object } = {}) {
  const response = await fetch(`${url}${options.query ?? ""}`, {
    method: "POST",
    body: typeof body === "string" ? body : new Uint8Array(body),
    headers: { "content-type": TYPES[name], ...options.headers },
  });
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) };
}

describe("a batch of rows that come whole", () => {
  it.each(Object.keys(TYPES) as Name[])("is read and answered as %s, in the rows' order", async (name) => {
    for (const count of [1, 5_000]) {
      const rows = rowsOf(count);
      const { status, headers, bytes } = await send(name, await encode(name, rows));
      expect(status).toBe(200);
      expect(headers.get("content-type")).toContain(TYPES[name]);
      expect(headers.get("x-millrace-model-version")).toBe("3");
      expect(await decode(name, bytes)).toEqual(expectedOf(rows));
    }
  });

  it.each([
    ["json", "parquet"],
    ["parquet", "ndjson"],
    ["csv", "stream"],
    ["stream", "csv"],
    ["ndjson", "file"],
  ] as const)("of %s is answered as %s where Accept says so", async (from, to) => {
    const rows = rowsOf(3_000);
    const { bytes } = await send(from, await encode(from, rows), { headers: { accept: `${TYPES[to]}, */*;q=0.1` } });
    expect(await decode(to, bytes)).toEqual(expectedOf(rows));
  });

  it("is answered as JSON with the model and its version", async () => {
    const { bytes } = await send("json", JSON.stringify({ rows: rowsOf(1) }));
    expect(JSON.parse(bytes.toString())).toEqual({
      model: "risk",
      version: "3",
      as_of: null,
      predictions: [{ probability: 0.25 }],
    });
  });

  it("may be empty", async () => {
    expect((await send("json", "[ ]")).bytes.toString()).toBe(
      '{"model":"risk","version":"3","as_of":null,"predictions":[]}',
    );
    expect((await send("ndjson", "\n")).bytes.toString()).toBe("");
    expect((await send("csv", "n,spend,amount\n")).bytes.toString()).toBe("probability,:error\n");
    expect(await decode("parquet", (await send("parquet", await encode("parquet", []))).bytes)).toEqual([]);
  });

  it("is read wherever its pieces end", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("json", "ndjson", "csv"),
        fc.array(fc.nat(400), { maxLength: 5 }),
        async (name, cuts) => {
          const rows = rowsOf(20);
          const body = await encode(name, rows);
          const at = [...new Set([0, ...cuts.map((cut) => cut % body.length), body.length])].sort((a, b) => a - b);
          const answer = await sendPieces(
            name,
            at.slice(1).map((end, i) => body.subarray(at[i], end)),
          );
          expect(await decode(name, answer)).toEqual(expectedOf(rows));
        },
      ),
      { numRuns: 30 },
    );
  });

  it("is decompressed", async () => {
    const rows = rowsOf(2_500);
    const body = gzipSync(await encode("ndjson", rows));
    expect(
      await decode("ndjson", (await send("ndjson", body, { headers: { "content-encoding": "gzip" } })).bytes),
    ).toEqual(expectedOf(rows));
    const lie = await send("ndjson", "no gzip", { headers: { "content-encoding": "gzip" } });
    expect([lie.status, JSON.parse(lie.bytes.toString()).code]).toEqual([400, "BODY_MALFORMED"]);
  });
});

/** Sends each piece for itself. */
function sendPieces(name: Name, pieces: readonly Buffer[]): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const sending = httpRequest(url, { method: "POST", headers: { "content-type": TYPES[name] } }, (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("end", () => resolve(Buffer.concat(parts)));
      response.on("error", reject);
    });
    sending.on("error", reject);
    sending.setNoDelay(true);
    const next = (index: number): void => {
      if (index === pieces.length) sending.end();
      else sending.write(pieces[index]!, () => setImmediate(next, index + 1));
    };
    next(0);
  });
}

describe("a batch of entity keys", () => {
  it("is looked up at one moment", async () => {
    const rows = Array.from({ length: 70 }, (_, i) => ({
      card_id: i % 2 === 0 ? "c1" : "x",
      amount: i,
      note: "ignored",
    }));
    const then = NOW - 45_000;
    const { headers, bytes } = await send("ndjson", rows.map((row) => `${JSON.stringify(row)}\n`).join(""), {
      query: `?as_of=${then}`,
    });
    expect(headers.get("x-millrace-as-of")).toBe(new Date(then).toISOString());
    const lines = bytes
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(70);
    expect(lines.slice(0, 2)).toEqual([{ probability: 0.75, ":head_overlap": true }, { probability: 0.75 }]);
    const csv = await send("csv", `card_id,amount\nc1,1\nx,2\n`, { query: `?as_of=${new Date(then).toISOString()}` });
    expect(csv.bytes.toString()).toBe("probability,:head_overlap,:error\n0.75,true,\n0.75,false,\n");
  });

  it("refuses the first bad key and reports a later one in place", async () => {
    const good = '{"card_id":"c1","amount":1}\n';
    const bad = await send("ndjson", `${good}{"card_id":1,"amount":1}\n`);
    expect([bad.status, JSON.parse(bad.bytes.toString())]).toEqual([
      400,
      expect.objectContaining({ code: "LOOKUP_INVALID", row: 1 }),
    ]);
    const { status, bytes } = await send("ndjson", `${good}{"card_id":1,"amount":1}\n${good}`, {
      query: "?errors=report",
    });
    expect(status).toBe(200);
    expect(
      bytes
        .toString()
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { probability: 0.75 },
      { ":error": { row: 1, code: "LOOKUP_INVALID", detail: expect.stringContaining("rows[1].card_id") } },
      { probability: 0.75 },
    ]);
  });
});

describe("a batch with errors", () => {
  const good = '{"n":-1,"spend":1,"amount":1}\n';

  it.each([
    ["ndjson", "{\n", 400, "BODY_MALFORMED"],
    ["ndjson", "[1]\n", 400, "REQUEST_INVALID"],
    ["ndjson", '{"n":1}\n', 400, "ROWS_INCOMPLETE"],
    ["ndjson", `${good}{"n":1,"spend":1}\n`, 400, "REQUEST_INVALID"],
    ["ndjson", `{"n":"${"x".repeat(1_100_000)}`, 413, "BODY_TOO_LARGE"],
    ["json", `${good}`, 400, "BODY_MALFORMED"],
    ["json", "[{},", 400, "BODY_MALFORMED"],
    ["json", `[${good.trim()},]`, 400, "BODY_MALFORMED"],
    ["json", `[${good.trim()}] 5`, 400, "BODY_MALFORMED"],
    ["json", `{"rows":[${good.trim()}]`, 400, "BODY_MALFORMED"],
    ["json", `{"lines":[${good.trim()}]}`, 400, "BODY_MALFORMED"],
    ["csv", "", 400, "BODY_MALFORMED"],
    ["csv", "n,spend\n1,2\n", 400, "ROWS_INCOMPLETE"],
    ["csv", "n,n,spend,amount\n1,1,2,3\n", 400, "REQUEST_INVALID"],
    ["csv", "n,spend,amount\n1,2\n", 400, "BODY_MALFORMED"],
    ["csv", "n,spend,amount\n1,x,3\n", 400, "REQUEST_INVALID"],
    ["stream", "no arrow at all, but bytes", 400, "BODY_MALFORMED"],
    ["file", "no arrow at all, but bytes", 400, "BODY_MALFORMED"],
    ["parquet", "no parquet", 400, "BODY_MALFORMED"],
  ] as const)("is refused before the first answer: %s %j", async (name, body, status, code) => {
    const answer = await send(name, body);
    expect(answer.headers.get("content-type")).toBe("application/problem+json; charset=utf-8");
    expect([answer.status, JSON.parse(answer.bytes.toString()).code]).toEqual([status, code]);
  });

  it("is refused for its types, its query, its model", async () => {
    const post = (more: string, headers: object): Promise<number> =>
      fetch(url.replace("/risk/", more), {
        method: "POST",
        body: good,
        headers: headers as Record<string, string>,
      }).then(({ status }) => status);
    expect(await post("/risk/", { "content-type": "text/plain" })).toBe(415);
    expect(await post("/risk/", { "content-type": TYPES.ndjson, accept: "text/html" })).toBe(406);
    expect(await post("/nope/", { "content-type": TYPES.ndjson })).toBe(404);
    expect(await post("/scaled/", { "content-type": TYPES.ndjson })).toBe(503);
    expect((await send("ndjson", good, { query: "?row=keys" })).status).toBe(400);
    expect((await send("ndjson", good, { query: "?rows=keys" })).status).toBe(400);
  });

  it.each(["ndjson", "csv", "json"] as const)(
    "reports those of single rows of %s in place once answers were sent",
    async (to) => {
      const lines = new Array<string>(6_000).fill(good);
      lines[3_000] = "{broken\n";
      lines[4_000] = '{"n":true,"spend":"x","amount":1}\n';
      const { status, bytes } = await send("ndjson", lines.join(""), { headers: { accept: TYPES[to] } });
      expect(status).toBe(200);
      const text = bytes.toString();
      const answers =
        to === "json"
          ? JSON.parse(text).predictions
          : text
              .trimEnd()
              .split("\n")
              .slice(to === "csv" ? 1 : 0);
      expect(answers).toHaveLength(6_000);
      const at = (row: number): unknown => (to === "ndjson" ? JSON.parse(answers[row]) : answers[row]);
      if (to === "csv") {
        expect([at(2_999), at(3_001)]).toEqual(["0.25,", "0.25,"]);
        expect(at(3_000)).toMatch(/^,"?BODY_MALFORMED: /);
      } else {
        expect([at(2_999), at(3_001)]).toEqual([{ probability: 0.25 }, { probability: 0.25 }]);
        expect(at(3_000)).toEqual({ ":error": { row: 3_000, code: "BODY_MALFORMED", detail: expect.any(String) } });
        expect(at(4_000)).toEqual({
          ":error": { row: 4_000, code: "REQUEST_INVALID", detail: expect.stringContaining("rows[4000].spend") },
        });
      }
      expect(events.at(-1)).toMatchObject({ model: "risk", format: "ndjson", rows: 6_000, failed: 2, outcome: "ok" });
    },
  );

  it("cuts the answer off where the body ends early, and says why as the last line", async () => {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const sending = httpRequest(
        url,
        { method: "POST", headers: { "content-type": TYPES.json, accept: TYPES.ndjson } },
        resolve,
      );
      sending.on("error", reject);
      sending.end(`[${good.trim()},`.padEnd(70_000, " ") + `${good.trim()},`.repeat(5_000));
    });
    const parts: Buffer[] = [];
    await expect(
      (async () => {
        for await (const part of response) parts.push(part as Buffer);
      })(),
    ).rejects.toThrow("aborted");
    const lines = Buffer.concat(parts).toString().trim().split("\n");
    expect(JSON.parse(lines.at(-1)!)).toEqual({
      ":error": { row: null, code: "BODY_MALFORMED", detail: expect.any(String) },
    });
  });

  it("stops when its client leaves, and leaves nothing behind", async () => {
    const before = events.length;
    await new Promise<void>((resolve) => {
      const sending = httpRequest(url, { method: "POST", headers: { "content-type": TYPES.ndjson } }, (response) => {
        response.once("data", () => {
          sending.destroy();
          resolve();
        });
      });
      sending.on("error", () => {});
      sending.write(good.repeat(5_000));
    });
    await expect.poll(() => events.length).toBe(before + 1);
    expect(events.at(-1)!.outcome).not.toBe("ok");
    await expect.poll(() => readdirSync(folder).filter((name) => name.startsWith("millrace-batch-"))).toEqual([]);
  });
});

describe("a client that reads nothing before all is sent", () => {
  it("gets all of the answer", { timeout: 60_000 }, async () => {
    // More than the sockets and the memory hold, both ways.
    const count = 1_000_000;
    const line = '{"n":1,"spend":1,"amount":1}\n';
    const answer = await new Promise<Buffer>((resolve, reject) => {
      const sending = httpRequest(url, { method: "POST", headers: { "content-type": TYPES.ndjson } });
      sending.on("error", reject);
      let got: IncomingMessage | null = null;
      sending.on("response", (response) => {
        got = response.pause();
      });
      let left = count;
      const more = (): void => {
        while (left > 0) {
          left -= 2_000;
          if (!sending.write(line.repeat(2_000))) return void sending.once("drain", more);
        }
        sending.end(() => {
          const take = (response: IncomingMessage): void => {
            const parts: Buffer[] = [];
            response.on("data", (part: Buffer) => parts.push(part));
            response.on("end", () => resolve(Buffer.concat(parts)));
            response.resume();
          };
          if (got === null) sending.once("response", take);
          else take(got);
        });
      };
      more();
    });
    expect(answer.length).toBe('{"probability":0.75}\n'.length * count);
  });
});
