/** The entry of the threads that fold windows of history. */
import { parentPort } from "node:worker_threads";
import { isMillraceError } from "../definitions/errors.ts";
import type { Value } from "../definitions/value.ts";
import type { ColumnValues } from "./offline/point-in-time.ts";
import { type FoldEvents, type FoldLabels, type FoldPlan, foldWindows } from "./window-fold.ts";

/** One share of events; its arrays lie in shared memory. */
export interface FoldCall {
  readonly plan: FoldPlan;
  readonly events: FoldEvents;
  readonly labels: FoldLabels;
  readonly parts: number;
  /** The part that is folded next by whichever thread is free. */
  readonly next: Int32Array;
  /** Per feature, by row; null where its values are no numbers. */
  readonly values: readonly (Float64Array | null)[];
  readonly statuses: readonly Uint8Array[];
}

export interface FoldAnswer {
  /** The rows that this thread read. */
  readonly rows: Int32Array;
  /** Per feature those rows' values; null where they lie in shared memory. */
  readonly values: readonly (readonly Value[] | null)[];
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly kind: "user" | "operational" | "bug";
    readonly details: Readonly<Record<string, unknown>>;
  } | null;
}

parentPort?.on("message", (call: FoldCall) => {
  let answer: FoldAnswer;
  try {
    answer = fold(call);
  } catch (error) {
    const { code, message, kind, details } = isMillraceError(error)
      ? error
      : { code: "HISTORY_THREAD_FAILED", message: String(error), kind: "bug" as const, details: {} };
    answer = { rows: new Int32Array(0), values: [], error: { code, message, kind, details } };
  }
  parentPort!.postMessage(answer, [answer.rows.buffer as ArrayBuffer]);
});

function fold({ plan, events, labels, parts, next, values, statuses }: FoldCall): FoldAnswer {
  const columns = values.map((column): ColumnValues => column ?? new Array<Value>(statuses[0]!.length));
  const isNumeric = values.every((column) => column !== null);
  const own: number[] = [];
  for (let part = Atomics.add(next, 0, 1); part < parts; part = Atomics.add(next, 0, 1)) {
    const steps = foldWindows(plan, events, labels, part, parts, { values: columns, statuses });
    while (steps.next().done !== true);
    own.push(part);
  }
  if (isNumeric) return { rows: new Int32Array(0), values: values.map(() => null), error: null };
  const rows = rowsOf(labels, own, parts, columns[values.indexOf(null)] as readonly Value[]);
  return {
    rows,
    values: columns.map((column, index) =>
      values[index] !== null ? null : Array.from(rows, (row) => (column as readonly Value[])[row]!),
    ),
    error: null,
  };
}

/** The rows of these parts' entities that were read: those of entities without events were not. */
function rowsOf(labels: FoldLabels, own: readonly number[], parts: number, read: readonly Value[]): Int32Array {
  const rows: number[] = [];
  for (const part of own) {
    for (let entity = part; entity + 1 < labels.starts.length; entity += parts) {
      for (let label = labels.starts[entity]!; label < labels.starts[entity + 1]!; label++) {
        const row = labels.rows[label]!;
        if (read[row] !== undefined) rows.push(row);
      }
    }
  }
  return Int32Array.from(rows);
}
