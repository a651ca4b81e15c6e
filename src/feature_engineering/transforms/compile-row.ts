import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { Expression } from "../../definitions/expression.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { serviceHash } from "../plan/plan-hash.ts";
import { inputsOf, type ServiceColumn, serviceColumns } from "../plan/service-columns.ts";
import { categoryIndex } from "./categorical.ts";
import {
  compileExpression,
  type Evaluator,
  type ExpressionContext,
  inputPath,
  type LeafExpression,
} from "./compile-expression.ts";
import { fitsOf, type PlacedFit } from "./fits.ts";
import {
  type FitSpec,
  type FittedOrdinal,
  type FittedStandardize,
  type FittedState,
  type FittedTransform,
  readFittedState,
} from "./fitted-state.ts";

/** A view's feature that a row reads; the same feature looked up by other key names is another input. */
export interface FeatureInput {
  readonly view: FeatureViewMeta;
  readonly feature: string;
  readonly type: ColumnTypeSpec;
  /** The lookup's name of each of the view's entity keys. */
  readonly keys: Readonly<Record<string, string>>;
  /** The index in the inputs. */
  readonly slot: number;
}

/** A request column that a row reads. */
export interface RequestInput {
  readonly name: string;
  readonly type: ColumnTypeSpec;
  /** The index in the inputs, after those of the features. */
  readonly slot: number;
}

/** Makes a row of its inputs: the values of the feature inputs (defaults applied), then those of the request inputs. */
export type RowTransform = (inputs: readonly Value[]) => Value[];

/** A feature service compiled. */
export interface CompiledRow {
  readonly service: FeatureServiceMeta;
  /** The service's hash, which fitted state must carry. */
  readonly hash: string;
  /** What the rows hold, in order. */
  readonly columns: readonly ServiceColumn[];
  readonly featureInputs: readonly FeatureInput[];
  readonly requestInputs: readonly RequestInput[];
  /** The transforms that must be fitted before rows can be made. */
  readonly fits: readonly FitSpec[];
  /** How many passes over the training inputs fitting takes: 0 if nothing is fitted, above 1 only for chains of fits. */
  readonly passes: number;
  /**
   * The function that makes rows, with what was fitted. It is pure but for `onFailure`.
   *
   * @throws `NOT_FITTED` without a state, if there is something to fit; `FITTED_STATE_MISMATCH` if it does not fit.
   */
  bind(state: FittedState | null): RowTransform;
  /** Evaluators of what each transform of a pass is fitted on, with what the passes before it learned. */
  bindFits(pass: number, fitted: ReadonlyMap<string, FittedTransform>): readonly FitInput[];
}

export interface FitInput {
  readonly fit: FitSpec;
  readonly evaluate: Evaluator;
}

export interface CompileRowOptions {
  /** Called with the service's feature each time a derive's function throws or gives a result of another type. */
  readonly onFailure?: (feature: string) => void;
}

/**
 * Compiles a feature service to a function from inputs to rows, the one that runs when a request is served and when a
 * training set is made.
 */
export function compileRow(service: FeatureServiceMeta, options: CompileRowOptions = {}): CompiledRow {
  const columns = serviceColumns(service);
  const hash = serviceHash(service);
  const inputs = gatherInputs(service);
  const fits = service.features.flatMap(({ name, expression }) => fitsOf(name, expression));
  const onFailure = options.onFailure ?? (() => {});

  const context = (feature: string, fitted: ReadonlyMap<string, FittedTransform>): ExpressionContext => ({
    slotOf: (leaf) => inputs.slots.get(leafKey(leaf))!,
    onFailure: () => onFailure(feature),
    // The casts hold: a state is read only after its kinds were checked.
    standardize: (id) => fitted.get(id) as FittedStandardize,
    ordinal: (id) => fitted.get(id) as FittedOrdinal,
  });

  return {
    service,
    hash,
    columns,
    featureInputs: inputs.features,
    requestInputs: inputs.requests,
    fits: fits.map(specOf),
    passes: Math.max(0, ...fits.map((fit) => fit.pass)),
    bind: (state) => {
      if (state === null && fits.length > 0) throw notFitted(service, fits);
      if (state !== null) readFittedState(state, { name: service.name, hash, fits });
      const fitted = new Map(Object.entries(state?.transforms ?? {}));
      return rowTransform(
        service.features.map(({ name, expression }) => compileFeature(expression, name, context(name, fitted))),
        columns.length,
      );
    },
    bindFits: (pass, fitted) =>
      fits
        .filter((fit) => fit.pass === pass)
        .map((fit) => ({ fit: specOf(fit), evaluate: fit.compileInput(context(fit.feature, fitted)) })),
  };
}

function specOf({ id, feature, kind, pass }: PlacedFit): FitSpec {
  return { id, feature, kind, pass };
}

/** Writes a feature's columns into a row from `at` on, and returns the index after them. */
type FeatureWriter = (inputs: readonly Value[], row: Value[], at: number) => number;

function rowTransform(writers: readonly FeatureWriter[], length: number): RowTransform {
  return (inputs) => {
    const row: Value[] = new Array(length);
    let at = 0;
    for (let index = 0; index < writers.length; index++) at = writers[index]!(inputs, row, at);
    return row;
  };
}

function compileFeature(expression: Expression, path: string, context: ExpressionContext): FeatureWriter {
  if (expression.op === "one_hot") {
    const input = compileExpression(expression.input, inputPath(path), context);
    const index = categoryIndex(expression.categories);
    const count = expression.categories.length;
    return (inputs, row, at) => {
      const hot = index.get(input(inputs)) ?? -1;
      for (let category = 0; category < count; category++) row[at + category] = category === hot ? 1 : 0;
      return at + count;
    };
  }
  const evaluate = compileExpression(expression, path, context);
  return (inputs, row, at) => {
    row[at] = evaluate(inputs);
    return at + 1;
  };
}

interface Inputs {
  readonly features: readonly FeatureInput[];
  readonly requests: readonly RequestInput[];
  readonly slots: ReadonlyMap<string, number>;
}

function gatherInputs(service: FeatureServiceMeta): Inputs {
  const leaves = new Map<string, LeafExpression>();
  for (const { expression } of service.features) gatherLeaves(expression, leaves);
  const features: FeatureInput[] = [];
  const requests: RequestInput[] = [];
  const slots = new Map<string, number>();
  for (const [key, leaf] of leaves) {
    if (leaf.op !== "feature") continue;
    const { view, feature, type, keys } = leaf;
    slots.set(key, features.length);
    features.push({ view, feature, type, keys, slot: features.length });
  }
  for (const [key, leaf] of leaves) {
    if (leaf.op !== "request") continue;
    const slot = features.length + requests.length;
    slots.set(key, slot);
    requests.push({ name: leaf.column, type: leaf.type, slot });
  }
  return { features, requests, slots };
}

function gatherLeaves(expression: Expression, leaves: Map<string, LeafExpression>): void {
  if (expression.op === "feature" || expression.op === "request" || expression.op === "column") {
    const key = leafKey(expression);
    if (!leaves.has(key)) leaves.set(key, expression);
    return;
  }
  for (const input of inputsOf(expression)) gatherLeaves(input, leaves);
}

function leafKey(leaf: LeafExpression): string {
  if (leaf.op !== "feature") return `${leaf.op}:${leaf.column}`;
  const lookup = leaf.view.entity.keys.map((key) => leaf.keys[key.name] ?? key.name);
  return `feature:${leaf.view.name}:${leaf.feature}:${lookup.join(",")}`;
}

function notFitted(service: FeatureServiceMeta, fits: readonly PlacedFit[]): MillraceError {
  const features = [...new Set(fits.map((fit) => fit.feature))];
  return millraceError(
    "NOT_FITTED",
    `Service '${service.name}' cannot make rows: the transforms of ${features.map((name) => `'${name}'`).join(", ")} learn from a training set, and nothing was learned yet. Make one with \`millrace training-set\`, train on it, and log its millrace.json with the model.`,
    { details: { service: service.name, features } },
  );
}
