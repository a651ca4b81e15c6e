import type { FeatureService } from "../../../src/definitions/index.ts";
import { featureService } from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import type { Value } from "../../../src/definitions/value.ts";
import {
  type CompiledRow,
  type CompileRowOptions,
  compileRow,
} from "../../../src/feature_engineering/transforms/compile-row.ts";
import type { FittedState } from "../../../src/feature_engineering/transforms/fitted-state.ts";
import { fitRows } from "../../../src/feature_engineering/transforms/fitter.ts";

/** Compiles a service of the features, whose types no test is about. */
export function compile(features: object, options: CompileRowOptions = {}): CompiledRow {
  const service = featureService("tested", { features } as never) as FeatureService<object, object>;
  return compileRow(service[Meta], options);
}

/** The inputs of a row by the names of request columns and view features; what is not given is null. */
export function inputsOf(compiled: CompiledRow, values: Readonly<Record<string, Value>>): Value[] {
  const inputs: Value[] = [];
  for (const { feature, slot } of compiled.featureInputs) inputs[slot] = values[feature] ?? null;
  for (const { name, slot } of compiled.requestInputs) inputs[slot] = values[name] ?? null;
  return inputs;
}

/** What a service without labels learns of rows of inputs. */
export async function fitRow(
  compiled: CompiledRow,
  rows: () => Iterable<readonly Value[]> | AsyncIterable<readonly Value[]>,
): Promise<FittedState> {
  const fitter = await fitRows(compiled, async function* () {
    for await (const inputs of rows()) yield { inputs, labels: [] };
  });
  return fitter.finish();
}

/** The row of a service that has nothing to fit, by column. */
export function rowOf(compiled: CompiledRow, values: Readonly<Record<string, Value>>): Record<string, Value> {
  const row = compiled.bind(null)(inputsOf(compiled, values));
  return Object.fromEntries(compiled.columns.map(({ name }, index) => [name, row[index]!]));
}
