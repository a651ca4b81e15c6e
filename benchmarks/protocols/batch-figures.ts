import { spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import * as arrow from "apache-arrow";
import type { MillraceProcess } from "../../integration/services/millrace-process.ts";
import { MLFLOW } from "../../integration/services/mlflow-version.ts";
import { pythonEnvironment } from "../../integration/services/python-environment.ts";
import { millraceError } from "../../src/definitions/errors.ts";

const ROWS = 1_000;
const WIDTH = 30;
const NAMES = Array.from({ length: WIDTH }, (_, i) => `f${i}`);
/** The most that the server's memory may grow by, MiB. */
const MOST_GROWTH = 400;

/** A part of a body that is sent again and again. */
interface Body {
  readonly type: string;
  readonly head: Buffer;
  readonly part: Buffer;
  readonly tail: Buffer;
  readonly name: string;
  /** Of a body that is a file. */
  readonly path?: string;
  readonly rows?: number;
  readonly parts?: number;
}

/**
 * Sends bodies of `megabytes` to the batch endpoint and measures rows per second and the server's memory meanwhile.
 * Gives how many of them failed.
 */
export async function batchFigures(
  millrace: MillraceProcess,
  rows: Float32Array,
  rowsFile: string,
  expected: Float32Array,
  megabytes: number,
  say: (line: string) => void,
): Promise<number> {
  const url = `${millrace.url}/v1/models/wide/predict-batch`;
  let failures = 0;
  for (const body of [...bodiesOf(rows), await parquetBody(rowsFile, megabytes)]) {
    const { name, parts: pieces } = body;
    const before = await residentMib(millrace.pid);
    let peak = before;
    const timer = setInterval(() => {
      void residentMib(millrace.pid).then((mib) => {
        peak = Math.max(peak, mib);
      });
    }, 50);
    const parts = pieces ?? Math.ceil((megabytes * 1e6) / body.part.length);
    const started = performance.now();
    const answer = await send(url, body, parts, expected);
    const seconds = (performance.now() - started) / 1_000;
    clearInterval(timer);
    const sent = body.rows ?? parts * ROWS;
    const size = body.path === undefined ? parts * body.part.length : (await stat(body.path)).size;
    const isComplete = answer.status === 200 && answer.rows === sent && answer.wrong === 0;
    if (!isComplete || peak - before > MOST_GROWTH) failures++;
    say(
      `batch of ${(size / 1e6).toFixed(0)} MB of ${name}, ${sent.toLocaleString("en")} rows: ${Math.round(sent / seconds).toLocaleString("en")} rows/s, server ${before} MiB before, ${peak} MiB at most   (aim: all rows answered, growth under ${MOST_GROWTH} MiB)${isComplete ? "" : ` FAILED: status ${answer.status}, ${answer.rows} rows, ${answer.wrong} wrong ${answer.said}`}`,
    );
  }
  return failures;
}

/** Parquet has one directory for all of its rows: it cannot be sent from parts. */
async function parquetBody(rowsFile: string, megabytes: number): Promise<Body> {
  const times = Math.max(50, Math.ceil((megabytes * 1e6) / (ROWS * WIDTH * 4) / 50) * 50);
  const path = `${rowsFile}.parquet`;
  const script = fileURLToPath(new URL("write_parquet.py", import.meta.url));
  const written = spawnSync(join(pythonEnvironment(MLFLOW), "python"), [script, rowsFile, path, String(times)], {
    encoding: "utf8",
  });
  if (written.status !== 0) throw millraceError("TOOL_FAILED", written.stderr.slice(-2_000), { kind: "operational" });
  const none = Buffer.alloc(0);
  const type = "application/vnd.apache.parquet";
  return { name: "Parquet", type, head: none, part: none, tail: none, path, rows: times * ROWS, parts: 0 };
}

function bodiesOf(rows: Float32Array): readonly Body[] {
  const count = rows.length / WIDTH;
  const row = (r: number): number[] => Array.from(rows.subarray(r * WIDTH, (r + 1) * WIDTH));
  const objects = Array.from({ length: count }, (_, r) =>
    JSON.stringify(Object.fromEntries(row(r).map((value, c) => [NAMES[c]!, value]))),
  );
  const none = Buffer.alloc(0);
  const table = new arrow.Table(
    Object.fromEntries(
      NAMES.map((name, c) => [
        name,
        arrow.vectorFromArray(
          Array.from({ length: count }, (_, r) => rows[r * WIDTH + c]!),
          new arrow.Float32(),
        ),
      ]),
    ),
  );
  const stream = Buffer.from(arrow.tableToIPC(table, "stream"));
  const headLength = schemaLength(stream);
  return [
    {
      name: "NDJSON",
      type: "application/x-ndjson",
      head: none,
      part: Buffer.from(`${objects.join("\n")}\n`),
      tail: none,
    },
    {
      name: "CSV",
      type: "text/csv",
      head: Buffer.from(`${NAMES.join(",")}\n`),
      part: Buffer.from(Array.from({ length: count }, (_, r) => `${row(r).join(",")}\n`).join("")),
      tail: none,
    },
    {
      name: "an Arrow stream",
      type: "application/vnd.apache.arrow.stream",
      head: stream.subarray(0, headLength),
      part: stream.subarray(headLength, stream.length - 8),
      tail: stream.subarray(stream.length - 8),
    },
  ];
}

/** A message: a mark, the length of its metadata, the metadata; a schema has no body. */
function schemaLength(stream: Buffer): number {
  return 8 + stream.readInt32LE(4);
}

/** Answers come as NDJSON and are compared as they come. */
function send(
  url: string,
  { type, head, part, tail, path }: Body,
  parts: number,
  expected: Float32Array,
): Promise<{ status: number; rows: number; wrong: number; said: string }> {
  const wanted = Array.from(expected, (value) => `{"probability":${value}}`);
  return new Promise((resolve, reject) => {
    const agent = new Agent();
    const headers = { "content-type": type, accept: "application/x-ndjson" };
    const sending = httpRequest(url, { method: "POST", headers, agent });
    sending.on("error", reject);
    sending.on("response", (response: IncomingMessage) => {
      let rest = "";
      let rows = 0;
      let wrong = 0;
      let said = "";
      response.on("error", reject);
      response.on("data", (data: Buffer) => {
        const lines = (rest + data.toString("latin1")).split("\n");
        rest = lines.pop()!;
        for (const line of lines) {
          if (line !== wanted[rows++ % wanted.length]) {
            wrong++;
            said ||= line.slice(0, 200);
          }
        }
      });
      response.on("end", () => {
        agent.destroy();
        resolve({ status: response.statusCode!, rows, wrong, said: said || rest.slice(0, 300) });
      });
    });
    let left = parts;
    const more = (): void => {
      while (left-- > 0) if (!sending.write(part)) return void sending.once("drain", more);
      sending.end(tail);
    };
    if (path !== undefined) return void createReadStream(path).on("error", reject).pipe(sending);
    sending.write(head);
    more();
  });
}

async function residentMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1_024);
}
