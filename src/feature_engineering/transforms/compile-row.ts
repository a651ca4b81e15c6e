import { type MillraceError, millraceError } from "../../definitions/errors.ts";
import type { Expression, LabelMeta } from "../../definitions/expression.ts";
import type { FeatureServiceMeta } from "../../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { ColumnTypeSpec, Value } from "../../definitions/value.ts";
import { serviceHash } from "../plan/plan-hash.ts";
import { inputsOf, type ServiceColumn, serviceColumns } from "../plan/service-columns.ts";
import { compileColumns, type FeatureWriter } from "./compile-columns.ts";
import type { Evaluator, ExpressionContext, LeafExpression } from "./compile-expression.ts";
import { fitsOf, type PlacedFit } from "./fits.ts";
import {
  type FitSpec,
  type FittedState,
  type FittedTarget,
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
  /** The labels that transforms learn from: columns of the training frame, by name, in this order. */
  readonly labels: readonly LabelMeta[];
  /** How many passes over the training inputs fitting takes: 0 if nothing is fitted, above 1 only for chains of fits. */
  readonly passes: number;
  /**
   * The function that makes rows, with what was fitted. It is pure but for `onFailure`.
   *
   * @throws `NOT_FITTED` without a state, if there is something to fit; `FITTED_STATE_MISMATCH` if it does not fit.
   */
  bind(state: FittedState | null): RowTransform;
  /** Evaluators of what each transform of a pass is fitted on, with what the passes before it learned. */
  bindFits(pass: number, learned: Learned): readonly FitInput[];
  /** The function that makes the rows of the training set itself, of the row at `learned.position`. */
  bindTraining(learned: Learned): RowTransform;
}

/** What was learned of a training set so far, for its own rows. */
export interface Learned {
  readonly transforms: ReadonlyMap<string, FittedTransform>;
  /** What the rows of each fold get, of transforms that read labels. */
  readonly folds: ReadonlyMap<string, readonly FittedTarget[]>;
  /** The position of the row that is read, from 0. */
  readonly position: { row: number };
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

  const context = (feature: string, transforms: Learned["transforms"], training?: Learned): ExpressionContext => ({
    feature,
    slotOf: (leaf) => inputs.slots.get(leafKey(leaf))!,
    onFailure: () => onFailure(feature),
    // A state is read only after it was checked to hold every transform.
    fitted: (id) => transforms.get(id)!,
    ...(training === undefined ? {} : { folds: (id) => training.folds.get(id)!, position: training.position }),
  });
  const rows = (transforms: Learned["transforms"], training?: Learned): RowTransform =>
    rowTransform(
      service.features.map(({ name, expression }) =>
        compileColumns(expression, name, context(name, transforms, training)),
      ),
      columns.length,
    );

  return {
    service,
    hash,
    columns,
    featureInputs: inputs.features,
    requestInputs: inputs.requests,
    fits: fits.map(specOf),
    labels: labelsOf(service, fits),
    passes: Math.max(0, ...fits.map((fit) => fit.pass)),
    bind: (state) => {
      if (state === null && fits.length > 0) throw notFitted(service, fits);
      if (state !== null) readFittedState(state, { name: service.name, hash, fits });
      return rows(new Map(Object.entries(state?.transforms ?? {})));
    },
    bindFits: (pass, learned) =>
      fits
        .filter((fit) => fit.pass === pass)
        .map((fit) => ({
          fit: specOf(fit),
          evaluate: fit.compileInput(context(fit.feature, learned.transforms, learned)),
        })),
    bindTraining: (learned) => rows(learned.transforms, learned),
  };
}

function specOf({ id, feature, kind, rule, pass }: PlacedFit): FitSpec {
  return { id, feature, kind, rule, pass };
}

/** Each label once. */
function labelsOf(service: FeatureServiceMeta, fits: readonly PlacedFit[]): readonly LabelMeta[] {
  const labels = new Map<string, LabelMeta>();
  for (const { rule, feature } of fits) {
    if (rule.kind !== "target") continue;
    const { label } = rule;
    const known = labels.get(label.name);
    if (known !== undefined && JSON.stringify(known.type) !== JSON.stringify(label.type)) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Service '${service.name}' declares the label '${label.name}' with two types.`,
      );
    }
    if (service.lookup.some(({ name }) => name === label.name)) {
      throw millraceError(
        "DEFINITION_INVALID",
        `Feature '${feature}' of service '${service.name}' learns from the label '${label.name}', which is a column of its lookup as well: what comes with a request is not what is to be predicted. Rename one of them.`,
      );
    }
    labels.set(label.name, label);
  }
  return [...labels.values()];
}

function rowTransform(writers: readonly FeatureWriter[], length: number): RowTransform {
  return (inputs) => {
    const row: Value[] = new Array(length);
    let at = 0;
    for (let index = 0; index < writers.length; index++) at = writers[index]!(inputs, row, at);
    return row;
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
