import { millraceError } from "../definitions/errors.ts";
import type { FeatureServiceMeta } from "../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../definitions/feature-view.ts";
import { createServiceRuntime, type ServiceRuntime } from "./service-runtime.ts";
import type { ViewRuntime } from "./view-runtime.ts";

/** How metrics name what was asked for as a list. */
export const FEATURE_LIST = "feature_list";
/** Lists that are kept compiled: callers choose them, so there must be an end. */
const CAPACITY = 1_000;

/** Compiles lists of `view:feature`; a list that was asked for before is not compiled again. */
export function createFeatureLists(
  viewOf: (name: string) => ViewRuntime | undefined,
): (features: readonly string[]) => ServiceRuntime {
  let compiled = new Map<string, ServiceRuntime>();
  return (features) => {
    const id = features.join("\n");
    const known = compiled.get(id);
    if (known !== undefined) return known;
    const list = createServiceRuntime(listService(features, viewOf), (name) => viewOf(name)!);
    if (compiled.size >= CAPACITY) compiled = new Map();
    compiled.set(id, list);
    return list;
  };
}

function listService(
  references: readonly string[],
  viewOf: (name: string) => ViewRuntime | undefined,
): FeatureServiceMeta {
  if (references.length === 0) throw invalid("it names no feature: name at least one as 'view:feature'");
  const views = new Map<string, FeatureViewMeta>();
  const lookup = new Map<string, FeatureServiceMeta["lookup"][number]>();
  const features = [...new Set(references)].map((reference): FeatureServiceMeta["features"][number] => {
    const [name = "", feature = "", ...rest] = reference.split(":");
    if (name === "" || feature === "" || rest.length > 0) throw invalid(`'${reference}' must be 'view:feature'`);
    const view = viewOf(name)?.layout.view;
    if (view === undefined) throw millraceError("VIEW_UNKNOWN", `There is no feature view '${name}'.`);
    const found = view.features.find((one) => one.name === feature);
    if (found === undefined) {
      throw millraceError(
        "FEATURE_UNKNOWN",
        `View '${name}' has no feature '${feature}': it has ${view.features.map((one) => one.name).join(", ")}.`,
      );
    }
    views.set(name, view);
    for (const key of view.entity.keys) {
      const other = lookup.get(key.name);
      if (other !== undefined && other.type.kind !== key.type.kind)
        throw invalid(`the key '${key.name}' is a ${other.type.kind} in one view and a ${key.type.kind} in '${name}'`);
      lookup.set(key.name, { name: key.name, type: key.type, role: "key" });
    }
    const keys = Object.fromEntries(view.entity.keys.map((key) => [key.name, key.name]));
    return { name: reference, expression: { op: "feature", view, feature, type: found.type, keys } };
  });
  return {
    kind: "feature_service",
    name: FEATURE_LIST,
    features,
    views: [...views.values()],
    lookup: [...lookup.values()],
    description: "",
    owner: "",
    tags: {},
  };
}

function invalid(why: string): Error {
  return millraceError("FEATURE_LIST_INVALID", `The list of features cannot be read: ${why}.`);
}
