import type { OutcomeMeta } from "../../definitions/outcome.ts";
import type { Value } from "../../definitions/value.ts";
import { keyText } from "../../feature_engineering/encoding/key-text.ts";
import { serviceHash } from "../../feature_engineering/plan/plan-hash.ts";
import { compileEventExpression } from "../../feature_engineering/transforms/compile-event-expression.ts";
import type { LoggedPrediction } from "../logged-prediction.ts";
import type { StoredPrediction } from "../offline/offline-store.ts";
import type { JoinPrediction } from "./outcome-join.ts";

/** An outcome, compiled. */
export interface OutcomeRuntime {
  readonly meta: OutcomeMeta;
  /** Of a model that gives a probability per class; else empty. */
  readonly classes: readonly string[];
  /** Columns of the source that are keys as they are: what history is asked by. */
  readonly historyColumns: readonly string[];
  /** Null for what can have no outcome: a null key, a service or an output that has changed since. */
  readPrediction(stored: StoredPrediction, logged: LoggedPrediction): JoinPrediction | null;
  /** Null if a key is null. */
  keyOf(row: readonly Value[]): string | null;
  /** Of a bool 1 or 0; null tells nothing. */
  labelOf(row: readonly Value[]): number | string | null;
  /** The label of what no event tells of; null: none. */
  readonly otherwise: number | string | null;
}

/** `onFailure` is called for each event on which a function of the outcome fails: it then tells nothing. */
export function compileOutcome(meta: OutcomeMeta, onFailure: () => void): OutcomeRuntime {
  const { model, source, predicted, predictionId } = meta;
  const columns = new Map(source.columns.map((column, index) => [column.name, index]));
  const keys = meta.keys ?? [{ name: "", value: predictionId! }];
  const readers = keys.map(({ value }) => compileEventExpression(value, columns, onFailure));
  const readLabel = compileEventExpression(meta.label, columns, onFailure);
  const deleted = source.deleted === null ? null : columns.get(source.deleted)!;
  const lookup = keys.map(({ name }) => model.service.lookup.findIndex((column) => column.name === name));
  const all = keys.map((_, index) => index);
  const plain = keys.flatMap(({ value }, index) => (value.op === "column" ? [{ column: value.column, index }] : []));
  const classes = typeof predicted === "string" ? [] : Object.keys(predicted);
  const outputs = typeof predicted === "string" ? [predicted] : Object.values(predicted);
  const isText = meta.task === "classes" && typeof predicted === "string";
  const hash = serviceHash(model.service);

  function answerOf(values: Readonly<Record<string, Value>>): JoinPrediction["answer"] {
    if (isText) {
      const value = values[outputs[0]!] ?? null;
      return value === null ? null : String(value);
    }
    const numbers = outputs.map((output) => Number(values[output] ?? Number.NaN));
    if (!numbers.every(Number.isFinite)) return null;
    return typeof predicted === "string" ? numbers[0]! : numbers;
  }

  function asLabel(value: Value): number | string | null {
    if (value === null) return null;
    return meta.task === "classes" ? String(value) : Number(value);
  }

  return {
    meta,
    classes,
    historyColumns: plain.map(({ column }) => column),
    readPrediction({ id }, logged) {
      if (logged.serviceHash !== hash || logged.outputs === undefined) return null;
      const values = predictionId === null ? lookup.map((at) => logged.lookup[at]!) : [logged.id ?? null];
      const key = keyText(values, all);
      if (key === null) return null;
      return {
        id,
        key,
        historyKey: plain.map(({ index }) => values[index]!),
        asOf: logged.asOf,
        version: logged.modelVersion,
        weight: 1 / (logged.sampleRate ?? 1),
        answer: answerOf(logged.outputs),
      };
    },
    keyOf: (row) =>
      keyText(
        readers.map((read) => read(row)),
        all,
      ),
    labelOf(row) {
      if (deleted !== null && row[deleted] === true) return null;
      return asLabel(readLabel(row));
    },
    otherwise: asLabel(meta.otherwise),
  };
}
