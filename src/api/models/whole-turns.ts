import { channel } from "node:diagnostics_channel";
import { isMillraceError } from "../../definitions/errors.ts";
import type { ModelMeta } from "../../definitions/model.ts";
import { PREDICTION_BATCH_CHANNEL, PREDICTION_QUEUED_CHANNEL, type PredictionBatchEvent } from "../channels.ts";
import type { InferencePool } from "./inference-pool.ts";
import type { LargeBatch, PredictStages } from "./predict-rows.ts";
import { predictWhole, type WholeAnswers, type WholeRows } from "./predict-whole.ts";
import type { ServedModel } from "./served-model.ts";

/** Predicts rows that came whole. @throws what `predictWhole` throws */
export type WholePredictor = (
  served: ServedModel,
  model: ModelMeta,
  rows: WholeRows,
  stages: PredictStages,
) => Promise<WholeAnswers>;

interface Waiting {
  readonly model: ModelMeta;
  readonly rows: WholeRows;
  readonly stages: PredictStages;
  readonly resolve: (answers: WholeAnswers) => void;
  readonly reject: (error: unknown) => void;
}

/** The most rows of one call of the model. */
const MOST_ROWS = 64;

const queued = channel(PREDICTION_QUEUED_CHANNEL);
const together = channel(PREDICTION_BATCH_CHANNEL);

/**
 * Small requests wait for the end of the event loop's turn and share one call of the model with what else came in it of
 * the same form: a model answers many rows at once for little more than one. Larger ones are predicted as they come.
 */
export function wholeTurns(pool: InferencePool, large: LargeBatch): WholePredictor {
  /** By version, what came in this turn. */
  let turns = new Map<ServedModel, Waiting[]>();

  function endTurn(): void {
    const ended = turns;
    turns = new Map();
    for (const [served, waiting] of ended) {
      for (const group of groupsOf(waiting, mostRows(served))) void predictGroup(served, group);
    }
  }

  const mostRows = ({ loaded }: ServedModel): number =>
    Math.min(MOST_ROWS, (loaded.flavor === "onnx" ? large.onnx : large.others) - 1);

  async function predictGroup(served: ServedModel, group: readonly Waiting[]): Promise<void> {
    const { model, rows, stages, resolve, reject } = group[0]!;
    const started = performance.now();
    try {
      if (group.length === 1) {
        resolve(await predictWhole(served, model, pool, large, rows, stages));
        return;
      }
      const all = joined(group.map((one) => one.rows));
      const answers = await predictWhole(served, model, pool, large, all, stages);
      if (together.hasSubscribers) {
        const seconds = (performance.now() - started) / 1_000;
        together.publish({ requests: group, rows: all.count, seconds } satisfies PredictionBatchEvent);
      }
      let from = 0;
      for (const one of group) {
        one.stages.model = stages.model;
        one.resolve(part(answers, from, from + one.rows.count));
        from += one.rows.count;
      }
    } catch (error) {
      if (group.length === 1) reject(error);
      else if (isMillraceError(error) && error.kind === "operational") for (const one of group) one.reject(error);
      // One of them may be wrong: only that one fails, and of its own row.
      else for (const one of group) await predictGroup(served, [one]);
    }
  }

  return (served, model, rows, stages) => {
    if (rows.count > mostRows(served)) return predictWhole(served, model, pool, large, rows, stages);
    return new Promise((resolve, reject) => {
      if (turns.size === 0) setImmediate(endTurn);
      const one: Waiting = { model, rows, stages, resolve, reject };
      const waiting = turns.get(served);
      if (waiting === undefined) turns.set(served, [one]);
      else waiting.push(one);
      if (queued.hasSubscribers) queued.publish(one);
    });
  };
}

/** Of one form each, within the bound of rows. */
function groupsOf(waiting: readonly Waiting[], most: number): (readonly Waiting[])[] {
  if (waiting.length === 1) return [waiting];
  const groups: Waiting[][] = [];
  const open = new Map<string, { readonly group: Waiting[]; rows: number }>();
  for (const one of waiting) {
    const { rows } = one;
    const form = rows.kind === "rows" ? "rows" : rows.matrix instanceof Float32Array ? "single" : "double";
    const known = open.get(form);
    if (known !== undefined && known.rows + rows.count <= most) {
      known.group.push(one);
      known.rows += rows.count;
    } else {
      const group = [one];
      groups.push(group);
      open.set(form, { group, rows: rows.count });
    }
  }
  return groups;
}

/** Of one form. */
function joined(parts: readonly WholeRows[]): WholeRows {
  const count = parts.reduce((sum, one) => sum + one.count, 0);
  const first = parts[0]!;
  if (first.kind === "rows") {
    return { kind: "rows", count, rows: parts.flatMap((one) => (one.kind === "rows" ? one.rows : [])) };
  }
  const length = count * (first.matrix.length / first.count);
  const matrix = first.matrix instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
  let at = 0;
  for (const one of parts) {
    if (one.kind === "rows") continue;
    matrix.set(one.matrix, at);
    at += one.matrix.length;
  }
  return { kind: "matrix", count, matrix };
}

function part(answers: WholeAnswers, from: number, to: number): WholeAnswers {
  if (answers.kind === "rows") return { kind: "rows", rows: answers.rows.slice(from, to) };
  const { values, width } = answers.answers;
  return { kind: "matrix", answers: { values: values.subarray(from * width, to * width), width } };
}
