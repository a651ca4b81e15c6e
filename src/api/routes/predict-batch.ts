import { channel } from "node:diagnostics_channel";
import { mkdtemp, rm } from "node:fs/promises";
import type { IncomingMessage } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { isMillraceError, millraceError } from "../../definitions/errors.ts";
import type { ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { arrowEncoder } from "../arrow-answers.ts";
import { arrowFileRows, arrowStreamRows } from "../arrow-rows.ts";
import { textEncoder } from "../batch/answer-encoder.ts";
import { answerFile } from "../batch/answer-frame.ts";
import { acceptedFormat, type BatchFormat, batchType, contentFormat } from "../batch/batch-format.ts";
import { type BatchLimits, DEFAULT_BATCH_LIMITS } from "../batch/batch-limits.ts";
import { bodyPieces } from "../batch/body-pieces.ts";
import { csvRows } from "../batch/csv-rows.ts";
import type { GivenRows } from "../batch/given-rows.ts";
import { jsonRows, ndjsonRows } from "../batch/json-rows.ts";
import { parquetRows } from "../batch/parquet-rows.ts";
import { type AnsweredRows, predictBatch } from "../batch/predict-batch.ts";
import { createSpool } from "../batch/spool.ts";
import { untilDeadline } from "../batch/until-deadline.ts";
import { BATCH_CHANNEL, type BatchEvent } from "../channels.ts";
import { toProblem } from "../problem.ts";
import { readChoice, readMoment } from "../request-body.ts";
import { askedDeadlineOf } from "../request-deadlines.ts";
import { ROW_FORMS } from "../row-form.ts";
import { predictBatchSchema } from "../schemas/predict-batch.ts";

/** Answers that a client has not taken yet. */
const SPOOL_MEMORY_BYTES = 4 * 2 ** 20;

const batches = channel(BATCH_CHANNEL);

type Batch = {
  readonly Params: { readonly name: string };
  readonly Querystring: Readonly<Record<string, string | undefined>>;
};

/** `POST /v1/models/{name}/predict-batch`: any number of rows in, their predictions out in the same order. */
export function predictBatchRoutes(app: FastifyInstance, api: ApiContext): void {
  const limits = api.limits.batch ?? DEFAULT_BATCH_LIMITS;
  void app.register(async (scope) => {
    scope.removeAllContentTypeParsers();
    // The body is read by the handler, piece by piece.
    scope.addContentTypeParser("*", (_request, payload, done) => done(null, payload));
    const holdUpload = uploadPatience(app, limits.idleSeconds * 1_000);

    scope.post<Batch>("/v1/models/:name/predict-batch", { schema: predictBatchSchema }, async (request, reply) => {
      const endUpload = holdUpload(request.raw);
      const run = createRun(request.params.name, request.headers["content-type"]);
      const finish = async (error: unknown = null): Promise<void> => {
        endUpload();
        await run.finish(error);
      };
      try {
        return reply.send(await answer(run, request, reply, finish));
      } catch (error) {
        // What is still to come is dropped; else a client that sends first would never read why.
        request.raw.resume();
        await finish(error);
        throw error;
      }
    });
  });

  /** The answer's bytes, once the first rows are answered: until then any error is the request's. */
  async function answer(
    run: BatchRun,
    request: FastifyRequest<Batch>,
    reply: FastifyReply,
    finish: (error?: unknown) => Promise<void>,
  ): Promise<Readable> {
    const versions = api.models.get(request.params.name);
    const { model } = versions;
    const format = contentFormat(request.headers["content-type"]);
    const accepted = acceptedFormat(request.headers.accept, format);
    const { rows: form, asOf, exact, report } = readQuery(request.query);
    const folder = await run.folder();
    const slot = await versions.acquire();
    run.release = () => versions.release(slot);
    const gone = new AbortController();
    reply.raw.once("close", () => gone.abort());
    const bounds = askedDeadlineOf(request);
    const pieces = untilDeadline(bodyPieces(request.raw, limits.bodyBytes), bounds.deadline);
    const source = rowsOf(format, pieces, folder, limits);
    const answers = run.counted(predictBatch(api, model, source, { form, asOf, exact, slot, ...bounds }));
    const first = await answers.next();
    if (first.done !== true && !report) refuseFailed(first.value);
    const all = rejoined(first, answers, gone.signal);
    const head = first.done === true ? null : first.value;
    reply.type(batchType(accepted));
    reply.header("x-millrace-model-version", encodeURIComponent(slot.version.version));
    if (head !== null && head.asOf !== null) reply.header("x-millrace-as-of", new Date(head.asOf).toISOString());
    if (accepted === "parquet" || accepted === "arrow-file") {
      const file = await answerFile(accepted, model, head?.form === "keys", all, folder);
      file.once("close", () => void finish());
      return file;
    }
    const encoder =
      accepted === "arrow-stream"
        ? await arrowEncoder(model, slot.version.version)
        : textEncoder(accepted, model, slot.version.version);
    const spool = createSpool({
      path: join(folder, "answers"),
      memoryBytes: SPOOL_MEMORY_BYTES,
      fileBytes: limits.spoolBytes,
    });
    request.raw.once("end", () => spool.stopSpilling());
    if (request.raw.complete) spool.stopSpilling();
    const out = Readable.from(spool, { objectMode: false });
    // The spool's iterator may wait for bytes that never come: closing it wakes it.
    gone.signal.addEventListener("abort", () => void spool.close());
    void (async () => {
      let failed: unknown = null;
      try {
        await spool.write(encoder.start(head));
        for await (const some of all) await spool.write(encoder.rows(some));
        await spool.write(encoder.end());
        spool.end();
      } catch (error) {
        failed = error;
        request.raw.resume();
        const { body, status } = toProblem(error, request.id);
        if (status >= 500) request.log.error({ err: error, status }, "batch failed");
        const { code, detail } = JSON.parse(body) as { readonly code: string; readonly detail: string };
        const last = encoder.failed(code, detail);
        if (last !== null) await spool.write(last);
        // The connection is cut, so that nobody takes a part for the whole.
        spool.fail(error);
      }
      await new Promise<void>((resolve) => (out.closed ? resolve() : out.once("close", resolve)));
      await spool.close();
      await finish(failed);
    })();
    return out;
  }
}

/** One batch: what it holds, what it counts. */
interface BatchRun {
  folder(): Promise<string>;
  release: () => void;
  counted(answers: AsyncGenerator<AnsweredRows>): AsyncGenerator<AnsweredRows>;
  finish(error: unknown): Promise<void>;
}

function createRun(model: string, type: string | undefined): BatchRun {
  const startedAt = performance.now();
  let path: string | null = null;
  let rows = 0;
  let failed = 0;
  let isFinished = false;
  const run: BatchRun = {
    release: () => {},
    async folder() {
      path = await mkdtemp(join(tmpdir(), "millrace-batch-"));
      return path;
    },
    async *counted(answers) {
      for await (const some of answers) {
        rows += some.count;
        for (let r = 0; r < some.count; r++) if (some.failure(r) !== null) failed++;
        yield some;
      }
    },
    async finish(error) {
      if (isFinished) return;
      isFinished = true;
      run.release();
      if (batches.hasSubscribers) {
        const outcome = error === null ? "ok" : isMillraceError(error) ? error.code : "INTERNAL";
        const seconds = (performance.now() - startedAt) / 1_000;
        batches.publish({ model, format: formatName(type), rows, failed, seconds, outcome } satisfies BatchEvent);
      }
      if (path !== null) await rm(path, { recursive: true, force: true });
    },
  };
  return run;
}

function formatName(type: string | undefined): string {
  try {
    return contentFormat(type);
  } catch {
    return "unknown";
  }
}

function rowsOf(
  format: BatchFormat,
  body: AsyncGenerator<Buffer>,
  folder: string,
  limits: BatchLimits,
): AsyncGenerator<GivenRows> {
  switch (format) {
    case "json":
      return jsonRows(body, limits.rowBytes);
    case "ndjson":
      return ndjsonRows(body, limits.rowBytes);
    case "csv":
      return csvRows(body, limits.rowBytes);
    case "parquet":
      return parquetRows(body, folder);
    case "arrow-stream":
      return arrowStreamRows(body, limits.recordBatchBytes);
    case "arrow-file":
      return arrowFileRows(body, folder, limits.recordBatchBytes);
  }
}

/** The first answers and the others, until the client is gone. */
async function* rejoined(
  first: IteratorResult<AnsweredRows, void>,
  others: AsyncGenerator<AnsweredRows>,
  gone: AbortSignal,
): AsyncGenerator<AnsweredRows> {
  if (first.done === true) return;
  yield first.value;
  for await (const some of others) {
    if (gone.aborted) throw millraceError("CLIENT_GONE", "The client left before the batch was answered.");
    yield some;
  }
}

/** Nothing was answered yet: the first row that has no prediction refuses the request. */
function refuseFailed(answers: AnsweredRows): void {
  for (let r = 0; r < answers.count; r++) {
    const failure = answers.failure(r);
    if (failure === null) continue;
    const row = answers.from + r;
    throw millraceError(failure.code, `Row ${row}: ${failure.detail}`, { details: { row } });
  }
}

interface BatchQuery {
  readonly rows: "features" | "keys" | null;
  readonly asOf: number | undefined;
  readonly exact: boolean;
  readonly report: boolean;
}

function readQuery(query: Readonly<Record<string, string | undefined>>): BatchQuery {
  const known = ["rows", "as_of", "exact", "errors"];
  const unknown = Object.keys(query).find((name) => !known.includes(name));
  if (unknown !== undefined) throw invalidRequest(`The query's '${unknown}'`, `one of ${known.join(", ")}`);
  const { rows, as_of: asOf, exact = "false", errors = "refuse" } = query;
  return {
    rows: rows === undefined ? null : readChoice(rows, "rows", ROW_FORMS),
    asOf: readMoment(asOf !== undefined && /^-?\d+$/.test(asOf) ? Number(asOf) : asOf, "as_of"),
    exact: readChoice(exact, "exact", ["true", "false"]) === "true",
    report: readChoice(errors, "errors", ["refuse", "report"]) === "report",
  };
}

/**
 * A batch may take longer to arrive than other requests may. While one does, the server's limit on that is off; a batch
 * whose connection is idle is ended instead.
 */
function uploadPatience(app: FastifyInstance, idleMs: number): (request: IncomingMessage) => () => void {
  let uploads = 0;
  let usual = 0;
  return (request) => {
    if (uploads++ === 0) {
      usual = app.server.requestTimeout;
      app.server.requestTimeout = 0;
    }
    const { socket } = request;
    const leave = (): void => void socket.destroy();
    socket?.setTimeout?.(idleMs, leave);
    let isEnded = false;
    return () => {
      if (isEnded) return;
      isEnded = true;
      // How long the connection may idle from now on, the server sets when the answer is sent.
      socket?.off?.("timeout", leave);
      if (--uploads === 0) app.server.requestTimeout = usual;
    };
  };
}
