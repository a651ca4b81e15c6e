import { toValue } from "./derive.ts";
import { type CheckedDuration, type Duration, durationMs } from "./duration.ts";
import { millraceError } from "./errors.ts";
import type { Expr, Expression } from "./expression.ts";
import { Meta } from "./meta.ts";
import type { Model, ModelMeta } from "./model.ts";
import { checkName } from "./names.ts";
import type { AnySource, SourceMeta } from "./source.ts";
import type { ColumnTypeSpec, Value } from "./value.ts";

/** What is predicted: yes or no, a number, or one of several classes. */
export type OutcomeTask = "binary" | "regression" | "classes";

/** A measure of a model's quality that has a bound; of a number of pairs its error is known. */
export type BoundedMetric = "auc" | "log_loss" | "brier" | "accuracy" | "mae" | "rmse" | "bias";

/** Bounds by measure: at least of `auc` and `accuracy`, at most of the others (of `bias` on either side of 0). */
export type OutcomeBounds = Readonly<Partial<Record<BoundedMetric, number>>>;

/** An outcome as data. */
export interface OutcomeMeta {
  readonly kind: "outcome";
  readonly name: string;
  readonly model: ModelMeta;
  readonly source: SourceMeta;
  /** Values of the event that must equal those of the prediction's lookup; null: it carries the prediction's id. */
  readonly keys: readonly { readonly name: string; readonly type: ColumnTypeSpec; readonly value: Expression }[] | null;
  readonly predictionId: Expression | null;
  readonly label: Expression;
  readonly task: OutcomeTask;
  /** The output that is compared: a probability, a number or a class; of classes also one probability each. */
  readonly predicted: string | Readonly<Record<string, string>>;
  readonly withinMs: number;
  readonly take: "first" | "latest";
  /** The label of what no event tells of; null: none. */
  readonly otherwise: Value;
  readonly windows: readonly { readonly name: string; readonly ms: number }[];
  readonly bounds: OutcomeBounds;
  readonly description: string;
  readonly owner: string;
  readonly tags: Readonly<Record<string, string>>;
}

/** What became of a model's predictions. */
export interface Outcome {
  readonly [Meta]: OutcomeMeta;
}

type NameOf<Src> = Src extends { readonly "~source"?: { readonly name: infer N } } ? N & string : never;
type OutputsOf<Out, T> = {
  [K in keyof Out & string]: NonNullable<Out[K]> extends T ? K : never;
}[keyof Out & string];

/** What a label of type `L` may be compared with. */
export type PredictedBy<Out, L> = [NonNullable<L>] extends [boolean]
  ? OutputsOf<Out, number>
  : [NonNullable<L>] extends [number | bigint]
    ? OutputsOf<Out, number | bigint>
    : OutputsOf<Out, string> | { readonly [C in NonNullable<L> & string]: OutputsOf<Out, number> };

type BoundsOf<L> = [NonNullable<L>] extends [boolean]
  ? "auc" | "log_loss" | "brier" | "accuracy"
  : [NonNullable<L>] extends [number | bigint]
    ? "mae" | "rmse" | "bias"
    : "accuracy" | "log_loss";

/** Predictions are logged for so long. */
const LONGEST_MS = 30 * 86_400_000;
const WINDOWS = ["1d", "7d"] as const;

/**
 * Declares how the truth about a model's predictions arrives: an event of `source` whose `keys` equal those of the
 * prediction's lookup (or that carries the prediction's id), with `t <= event time < t + within`, where *t* is the moment
 * of the prediction. Of several such events with a label that is not null the first counts, of equal times the one that
 * is latest by version and arrival; with `take: "latest"` the latest of all. One event may tell of several predictions.
 * What has no event when the source's clock has passed `t + within` and its lateness is unmatched, until one comes.
 *
 * Predictions are taken from the model's prediction log, so its `sampleRate` must be above 0; each row stands for
 * 1 / sampleRate rows. A label that is a bool is compared with a probability, a number with a number, a text with a class
 * or with a probability per class.
 *
 * @throws `DEFINITION_INVALID`, `DURATION_INVALID`, `NAME_INVALID`
 */
export function outcome<
  In,
  Out,
  Src extends AnySource,
  L extends number | bigint | boolean | string | null,
  const W extends string,
>(
  name: string,
  options: {
    readonly model: Model<In, Out>;
    /** The stream of the events that tell. */
    readonly source: Src;
    /** What they tell; a null tells nothing. */
    readonly label: Expr<L, NameOf<Src>>;
    /** The output that is right or wrong; of classes, a probability for each is better. */
    readonly predicted: PredictedBy<Out, NoInfer<L>>;
    /** How long after the prediction it is known; at most 30 days. */
    readonly within: CheckedDuration<W>;
    /** Which of several events tells. Default `first`. */
    readonly take?: "first" | "latest";
    /**
     * The label of a prediction that no event tells of in time, where silence tells (no click, no chargeback). Default:
     * it has none, and is counted as unmatched.
     */
    readonly otherwise?: NonNullable<NoInfer<L>>;
    /** Over which quality is shown, by when it became known. Default 1 and 7 days. */
    readonly windows?: readonly Duration[];
    /** What the model must be worth; beyond it, and not by chance, it counts as degraded. */
    readonly bounds?: Readonly<Partial<Record<BoundsOf<NoInfer<L>>, number>>>;
    readonly description?: string;
    readonly owner?: string;
    readonly tags?: Readonly<Record<string, string>>;
  } & (
    | {
        /** Of the lookup's columns, those that tell one prediction from another, and what equals them in the event. */
        readonly keys: { readonly [K in keyof In]?: Expr<In[K] | null, NameOf<Src>> };
        readonly predictionId?: never;
      }
    | {
        /** A text in the event: the answer's header `millrace-prediction-id`, a colon, and the row's number from 0. */
        readonly predictionId: Expr<string | null, NameOf<Src>>;
        readonly keys?: never;
      }
  ),
): Outcome {
  checkName("an outcome", name);
  const model = options.model[Meta];
  const source = options.source[Meta];
  const label = options.label.expression;
  const wrong = (why: string): Error => millraceError("DEFINITION_INVALID", `Outcome '${name}' ${why}.`);
  if (model.logSampleRate === 0) {
    throw wrong(
      `needs the predictions of model '${model.name}' to be logged: give it predictionLog: { sampleRate: 1 }, or a smaller share`,
    );
  }
  const task = taskOf(label.type);
  if (task === null) throw wrong(`has a label of type ${label.type.kind}: it must be a bool, a number or a text`);
  const given = options.keys as Readonly<Record<string, Expr<unknown> | undefined>> | undefined;
  const keys =
    given === undefined
      ? null
      : Object.entries(given).flatMap(([key, value]) => (value === undefined ? [] : [keyOf(key, value.expression)]));
  const predictionId = options.predictionId?.expression ?? null;
  if ((keys === null) === (predictionId === null) || keys?.length === 0) {
    throw wrong("needs one of keys (what its events and the lookup have in common) and predictionId");
  }
  const identifying = predictionId === null ? keys!.map(({ value }) => value) : [predictionId];
  if (!identifying.some(({ op }) => op === "column")) {
    throw wrong("must have at least one key that is a column of its source as it is: history is asked by it");
  }
  if (predictionId !== null && predictionId.type.kind !== "string") throw wrong("needs a predictionId that is a text");
  for (const expression of [...identifying, label]) checkSource(expression, source, wrong);
  const predicted = options.predicted as OutcomeMeta["predicted"];
  checkPredicted(predicted, task, label.type, model, wrong);
  const withinMs = durationMs(options.within as string);
  const windows = (options.windows ?? WINDOWS).map((window) => ({ name: window, ms: durationMs(window) }));
  if (windows.length === 0) throw wrong("needs at least one window");
  if (withinMs > LONGEST_MS || windows.some(({ ms }) => ms > LONGEST_MS)) {
    throw wrong(
      "reaches further back than the 30 days for which predictions are logged: shorten within or its windows",
    );
  }
  const bounds = (options.bounds ?? {}) as OutcomeBounds;
  for (const [metric, bound] of Object.entries(bounds)) {
    if (!Number.isFinite(bound)) throw wrong(`has a bound of ${metric} that is not a number`);
  }
  return Object.freeze({
    [Meta]: Object.freeze({
      kind: "outcome",
      name,
      model,
      source,
      keys,
      predictionId,
      label,
      task,
      predicted,
      withinMs,
      take: options.take ?? "first",
      otherwise:
        options.otherwise === undefined ? null : toValue(options.otherwise, label.type, `outcome '${name}': otherwise`),
      windows,
      bounds,
      description: options.description ?? "",
      owner: options.owner ?? "",
      tags: options.tags ?? {},
    } as const),
  });

  function keyOf(key: string, value: Expression): NonNullable<OutcomeMeta["keys"]>[number] {
    const column = model.service.lookup.find((one) => one.name === key);
    if (column === undefined) {
      const known = model.service.lookup.map((one) => one.name).join(", ");
      throw wrong(`has the key '${key}', which the lookup of model '${model.name}' lacks: it has ${known}`);
    }
    if (model.logRedact.includes(key)) {
      throw wrong(
        `has the key '${key}', which the prediction log of model '${model.name}' leaves out: use predictionId, or another key`,
      );
    }
    const isText = (kind: string): boolean => kind === "string" || kind === "one_of";
    const { kind } = column.type;
    if (value.type.kind !== kind && !(isText(kind) && isText(value.type.kind))) {
      throw wrong(`compares the key '${key}', a ${kind}, with a ${value.type.kind}`);
    }
    return { name: key, type: column.type, value };
  }
}

function taskOf({ kind }: ColumnTypeSpec): OutcomeTask | null {
  if (kind === "bool") return "binary";
  if (kind === "int32" || kind === "int64" || kind === "float64") return "regression";
  return kind === "string" || kind === "one_of" ? "classes" : null;
}

function checkSource(expression: Expression, source: SourceMeta, wrong: (why: string) => Error): void {
  if (expression.op === "derive") {
    for (const input of Object.values(expression.inputs)) checkSource(input, source, wrong);
  } else if (expression.op !== "column" || expression.source !== source.name) {
    throw wrong(`reads something that is not a column of its source '${source.name}'`);
  }
}

function checkPredicted(
  predicted: OutcomeMeta["predicted"],
  task: OutcomeTask,
  label: ColumnTypeSpec,
  model: ModelMeta,
  wrong: (why: string) => Error,
): void {
  const numbers = ["float64", "int32", "int64"];
  const check = (output: unknown, kinds: readonly string[]): void => {
    const found = model.output.find((one) => one.name === output);
    if (found === undefined) throw wrong(`compares the output '${String(output)}', which model '${model.name}' lacks`);
    if (!kinds.includes(found.type.kind)) {
      throw wrong(`compares its label with the output '${found.name}', which is a ${found.type.kind}`);
    }
  };
  if (typeof predicted === "string") {
    check(predicted, task === "classes" ? ["string", "one_of"] : numbers);
    return;
  }
  if (task !== "classes") throw wrong("compares a label that is no text with classes");
  const classes = Object.keys(predicted);
  if (classes.length < 2) throw wrong("needs at least two classes");
  const unknown = label.kind === "one_of" ? (label.values ?? []).filter((value) => !classes.includes(value)) : [];
  if (unknown.length > 0) throw wrong(`has no output for the label '${unknown[0]}'`);
  for (const output of Object.values(predicted)) check(output, numbers);
}
