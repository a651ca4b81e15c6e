import type { FeatureViewMeta } from "../../definitions/feature-view.ts";
import type { CompiledRow } from "./compile-row.ts";

/** One view as a service looks it up: two roles of one view are two lookups. */
export interface ViewLookup {
  readonly view: FeatureViewMeta;
  /** Where each entity key stands in the lookup row, in the entity's order. */
  readonly keyIndexes: readonly number[];
  /** Which of the view's features go to which input slot of the row. */
  readonly reads: readonly { readonly feature: number; readonly slot: number }[];
}

/** What a service's rows are looked up by, in the order of their inputs. */
export function viewLookups({ service, featureInputs }: CompiledRow): readonly ViewLookup[] {
  const indexOf = new Map(service.lookup.map((column, index) => [column.name, index]));
  const lookups = new Map<string, ViewLookup & { readonly reads: { feature: number; slot: number }[] }>();
  for (const input of featureInputs) {
    const names = input.view.entity.keys.map((key) => input.keys[key.name] ?? key.name);
    const id = `${input.view.name}(${names.join(",")})`;
    let lookup = lookups.get(id);
    if (lookup === undefined) {
      lookup = { view: input.view, keyIndexes: names.map((name) => indexOf.get(name)!), reads: [] };
      lookups.set(id, lookup);
    }
    lookup.reads.push({ feature: input.view.features.findIndex((f) => f.name === input.feature), slot: input.slot });
  }
  return [...lookups.values()];
}
