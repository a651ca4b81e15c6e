import { existsSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { millraceError } from "../definitions/errors.ts";
import { shareColumn, sharedArray } from "./fold-column.ts";
import { putValue } from "./historical-inputs.ts";
import { type FoldEvents, type FoldLabels, type FoldOutput, type FoldPlan, foldWindows } from "./window-fold.ts";
import type { FoldAnswer, FoldCall } from "./window-fold-worker.ts";

export interface WindowFoldOptions {
  /** How many threads fold beside the caller's; 1 folds on the caller's. */
  readonly threads: number;
  /** Shares of fewer events are folded on the caller's thread: starting others would take longer. Default 250,000. */
  readonly threadedFrom?: number;
  readonly signal?: AbortSignal;
}

/** The shares of events that a reading folds, while it reads the next one. */
export interface WindowFolds {
  /** Takes a share of events; resolves when the share before it is folded, so that at most two are in memory. */
  add(plan: FoldPlan, events: FoldEvents, labels: FoldLabels, into: FoldOutput): Promise<void>;
  /** Resolves when all are folded. @throws what the fold of any threw; `HISTORY_THREAD_FAILED` */
  finish(): Promise<void>;
  /** Ends the threads, whatever they do. */
  close(): Promise<void>;
}

/** The thread may have a stream to serve: others get a turn so often, milliseconds. */
const TURN_MS = 20;
const THREADED_FROM = 250_000;
/** Events of a part, about: what a thread holds by entity at a time. */
const PART_EVENTS = 262_144;

interface Thread {
  readonly worker: Worker;
  call: { resolve(answer: FoldAnswer): void; reject(error: unknown): void } | null;
}

/** Threads are started with the first share that is large. Results are the same with any number of them. */
export function windowFolds(options: WindowFoldOptions): WindowFolds {
  const { threads: wanted, threadedFrom = THREADED_FROM, signal } = options;
  const threads: Thread[] = [];
  let last: Promise<void> = Promise.resolve();
  let isClosed = false;
  const abort = (): void => {
    void end(signal!.reason);
  };
  signal?.addEventListener("abort", abort, { once: true });

  function start(): Thread {
    const worker = new Worker(workerFile(), { name: "millrace-history" });
    const thread: Thread = { worker, call: null };
    worker.on("message", (answer: FoldAnswer) => {
      const { call } = thread;
      thread.call = null;
      call?.resolve(answer);
    });
    const die = (why: string): void => {
      const { call } = thread;
      thread.call = null;
      call?.reject(
        millraceError(
          "HISTORY_THREAD_FAILED",
          `A thread that computes windows ended: ${why}. Try again; if memory is short, read fewer rows at a time or with fewer threads.`,
          { kind: "operational" },
        ),
      );
    };
    worker.on("error", (error) => die(error instanceof Error ? error.message : String(error)));
    worker.on("exit", (code) => die(`exit code ${code}`));
    return thread;
  }

  function ask(thread: Thread, message: FoldCall): Promise<FoldAnswer> {
    return new Promise((resolve, reject) => {
      thread.call = { resolve, reject };
      thread.worker.postMessage(message);
    });
  }

  async function spread(plan: FoldPlan, events: FoldEvents, labels: FoldLabels, into: FoldOutput): Promise<void> {
    while (threads.length < wanted) threads.push(start());
    const shared = shareEvents(events);
    const message: FoldCall = {
      plan,
      events: shared,
      labels: {
        starts: sharedArray(labels.starts),
        rows: sharedArray(labels.rows),
        times: sharedArray(labels.times),
      },
      parts: partsOf(events.count, 4 * wanted),
      next: new Int32Array(new SharedArrayBuffer(4)),
      values: into.values.map((column) => (column instanceof Float64Array ? sharedArray(column) : null)),
      statuses: into.statuses.map((codes) => sharedArray(codes)),
    };
    const answers = await Promise.all(threads.map((thread) => ask(thread, message)));
    for (const { error, rows, values } of answers) {
      if (error !== null) throw millraceError(error.code, error.message, error);
      values.forEach((column, index) => {
        if (column !== null) for (let i = 0; i < rows.length; i++) putValue(into.values[index]!, rows[i]!, column[i]!);
      });
    }
    // Where the caller's columns do not lie in shared memory, theirs were copies.
    message.values.forEach((column, index) => {
      if (column !== null) copyRows(column, into.values[index] as Float64Array, labels.rows);
    });
    message.statuses.forEach((codes, index) => {
      copyRows(codes, into.statuses[index]!, labels.rows);
    });
  }

  async function here(plan: FoldPlan, events: FoldEvents, labels: FoldLabels, into: FoldOutput): Promise<void> {
    const parts = partsOf(events.count, 1);
    let since = performance.now();
    for (let part = 0; part < parts; part++) {
      for (const _ of foldWindows(plan, events, labels, part, parts, into)) {
        if (performance.now() - since < TURN_MS) continue;
        await setImmediate();
        signal?.throwIfAborted();
        since = performance.now();
      }
    }
  }

  async function end(reason: unknown): Promise<void> {
    isClosed = true;
    for (const thread of threads) {
      thread.call?.reject(reason);
      thread.call = null;
    }
    await Promise.all(threads.map(({ worker }) => worker.terminate()));
  }

  return {
    async add(plan, events, labels, into) {
      await last;
      signal?.throwIfAborted();
      if (isClosed) throw closed();
      const isLarge = wanted > 1 && events.count >= threadedFrom;
      if (isLarge) {
        last = spread(plan, events, labels, into);
        last.catch(() => {});
      } else {
        await here(plan, events, labels, into);
      }
    },
    finish: () => last,
    async close() {
      signal?.removeEventListener("abort", abort);
      await end(closed());
    },
  };
}

function closed(): Error {
  return millraceError("HISTORY_CLOSED", "The reading of history was closed before its end.", { kind: "operational" });
}

/** A power of two. */
function partsOf(events: number, least: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, least, events / PART_EVENTS)));
}

function shareEvents(events: FoldEvents): FoldEvents {
  const { count, entities, times, inputs, wheres, orders } = events;
  return {
    count,
    entities: sharedArray(entities),
    times: sharedArray(times),
    inputs: inputs.map((column) => column && shareColumn(column, count)),
    wheres: wheres.map((where) => where && sharedArray(where)),
    orders: orders && {
      versions: orders.versions && shareColumn(orders.versions, count),
      ingestedAt: sharedArray(orders.ingestedAt),
      hashes: sharedArray(orders.hashes),
    },
  };
}

function copyRows<Items extends Float64Array | Uint8Array>(from: Items, to: Items, rows: Int32Array): void {
  if (from !== to) for (const row of rows) to[row] = from[row]!;
}

/** Beside this file: TypeScript in the repository, JavaScript where it was built. */
function workerFile(): string {
  const typescript = fileURLToPath(new URL("./window-fold-worker.ts", import.meta.url));
  return existsSync(typescript) ? typescript : typescript.replace(/\.ts$/, ".js");
}
