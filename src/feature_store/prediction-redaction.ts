import type { Expression } from "../definitions/expression.ts";
import type { ModelMeta } from "../definitions/model.ts";
import type { ServiceRuntime } from "./service-runtime.ts";

/** What of a model's rows is kept nowhere: by what it is, not by what it is called. */
export interface PredictionRedaction {
  /** Of the lookup: positions. */
  readonly lookup: ReadonlySet<number>;
  /** Input slots. */
  readonly slots: ReadonlySet<number>;
}

/**
 * The parts of rows that `predictionLog.redact` names. A named lookup column is left out of the lookup, and wherever it is
 * an input; a named feature takes all inputs with it that it is computed from, also where another feature reads them.
 */
export function predictionRedaction(model: ModelMeta, { row, service }: ServiceRuntime): PredictionRedaction {
  if (model.logRedact.length === 0) return NOTHING;
  const inputs = redactedInputs(model);
  const lookup = new Set<number>();
  for (const [index, { name }] of service.lookup.entries()) {
    if (model.logRedact.includes(name) || inputs.has(requestId(name))) lookup.add(index);
  }
  const slots = new Set<number>();
  for (const { name, slot } of row.requestInputs) if (inputs.has(requestId(name))) slots.add(slot);
  for (const input of row.featureInputs) {
    if (inputs.has(featureId(input.view.name, input.feature, input.keys))) slots.add(input.slot);
  }
  return { lookup, slots };
}

const NO_FEATURES: ReadonlySet<string> = new Set();
const NOTHING: PredictionRedaction = { lookup: new Set(), slots: new Set() };
const known = new WeakMap<ModelMeta, ReadonlySet<string>>();

/** The service's features that are computed from anything that is redacted. */
export function redactedFeatures(model: ModelMeta): ReadonlySet<string> {
  let found = known.get(model);
  if (found === undefined) {
    if (model.logRedact.length === 0) return NO_FEATURES;
    const inputs = redactedInputs(model);
    const features = model.service.features.filter(({ expression }) =>
      inputsOf(expression).some((id) => inputs.has(id)),
    );
    found = new Set(features.map(({ name }) => name));
    known.set(model, found);
  }
  return found;
}

function redactedInputs({ logRedact, service }: ModelMeta): ReadonlySet<string> {
  return new Set([
    ...logRedact.map(requestId),
    ...service.features
      .filter(({ name }) => logRedact.includes(name))
      .flatMap(({ expression }) => inputsOf(expression)),
  ]);
}

function inputsOf(expression: Expression): readonly string[] {
  if (expression.op === "request") return [requestId(expression.column)];
  if (expression.op === "feature") return [featureId(expression.view.name, expression.feature, expression.keys)];
  if (expression.op === "derive") return Object.values(expression.inputs).flatMap(inputsOf);
  return "input" in expression ? inputsOf(expression.input) : [];
}

function requestId(column: string): string {
  return `request ${column}`;
}

function featureId(view: string, feature: string, keys: Readonly<Record<string, string>>): string {
  return `feature ${view} ${feature} ${JSON.stringify(Object.entries(keys).sort())}`;
}
