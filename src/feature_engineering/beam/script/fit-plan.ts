import type { FeatureServiceMeta } from "../../../definitions/feature-service.ts";
import type { FeatureViewMeta } from "../../../definitions/feature-view.ts";
import { needsOrder } from "../../aggregations/needs-order.ts";
import { type CompiledRow, compileRow } from "../../transforms/compile-row.ts";
import { type ViewLookup, viewLookups } from "../../transforms/view-lookups.ts";
import { createFeatureReader, type FeatureReader } from "../../windows/read-features.ts";
import type { ViewLayout } from "../../windows/view-layout.ts";
import type { FitSettings } from "./fit-settings.ts";
import type { SourceSettings } from "./job-settings.ts";
import type { Protobuf } from "./protobuf-message.ts";
import { createSourceRuntime, type SourceRuntime } from "./source-runtime.ts";

/** Rows that are one element, from when they are whole. */
export const CHUNK_ROWS = 1_000;
/** An entity's events of so many reaches are one group, so that only one reach of them is in two. */
const REACHES_PER_SEGMENT = 4;

/** Some features of a view that a service reads, which look equally far back: what is read of an entity at once. */
export interface FitView {
  readonly layout: ViewLayout;
  readonly reader: FeatureReader;
  /** How far back an event matters to a row; Infinity: for ever. Milliseconds. */
  readonly reachMs: number;
  /** An entity's rows within such a span of time, with all events that they see, are a group; null: all are. */
  readonly segmentMs: number | null;
  /** Whether features need the order of events. */
  readonly ordered: boolean;
  /** How a service looks it up: each is a part of its rows, by this index among the parts of `FitPlan`. */
  readonly roles: readonly FitRole[];
}

export interface FitRole {
  readonly part: number;
  readonly keyIndexes: readonly number[];
  /** Of features of the layout, to slots of the row. */
  readonly reads: ViewLookup["reads"];
}

/** A job that fits a service, compiled. */
export interface FitPlan {
  readonly settings: FitSettings;
  readonly service: FeatureServiceMeta;
  readonly row: CompiledRow;
  readonly inputCount: number;
  /** Of the request inputs, their place in the lookup and in the row. */
  readonly requests: readonly { readonly index: number; readonly slot: number }[];
  readonly views: readonly FitView[];
  /** Per source of the job, with the indexes of its views in `views`, in the order of the runtime's. */
  readonly sources: readonly { readonly runtime: SourceRuntime; readonly views: readonly number[] }[];
  /** How many parts a row is made of: its labels and request inputs are part 0. */
  readonly parts: number;
}

export function compileFit(
  settings: FitSettings,
  planned: FeatureServiceMeta,
  sources: readonly SourceSettings[],
  protobuf: Protobuf | null,
  onFailure: () => void,
): FitPlan {
  const lookup = settings.lookup.map((name) => planned.lookup.find((column) => column.name === name)!);
  const service = { ...planned, lookup };
  const row = compileRow(service, { onFailure });
  const indexOf = new Map(service.lookup.map((column, index) => [column.name, index]));
  let parts = 1;
  const wanted = viewParts(viewLookups(row)).map(({ view, roles }) => ({
    view,
    roles: roles.map((role): FitRole => ({ part: parts++, ...role })),
  }));
  const views = new Array<FitView>(wanted.length);
  const compiled = sources.map((source) => {
    const own = [...wanted.keys()].filter((index) => wanted[index]!.view.source.name === source.name);
    const meta = service.views.find((view) => view.source.name === source.name)!.source;
    const runtime = createSourceRuntime(
      meta,
      source,
      own.map((index) => wanted[index]!.view),
      protobuf,
    );
    for (const [at, index] of own.entries()) {
      const { layout } = runtime.views[at]!;
      const { reachMs } = layout;
      views[index] = {
        layout,
        reader: createFeatureReader(layout),
        reachMs,
        segmentMs: Number.isFinite(reachMs) ? REACHES_PER_SEGMENT * reachMs : null,
        ordered: layout.features.some(({ aggregation }) => needsOrder(aggregation.name)),
        roles: wanted[index]!.roles,
      };
    }
    return { runtime, views: own };
  });
  return {
    settings,
    service,
    row,
    inputCount: row.featureInputs.length + row.requestInputs.length,
    requests: row.requestInputs.map(({ name, slot }) => ({ index: indexOf.get(name)!, slot })),
    views,
    sources: compiled,
    parts,
  };
}

interface ViewPart {
  readonly view: FeatureViewMeta;
  readonly roles: readonly Omit<FitRole, "part">[];
}

/** Each view cut down to what is read of it, apart what sees all of the past: an entity's whole history is needed for that. */
function viewParts(lookups: readonly ViewLookup[]): readonly ViewPart[] {
  const parts: ViewPart[] = [];
  for (const name of new Set(lookups.map(({ view }) => view.name))) {
    const own = lookups.filter(({ view }) => view.name === name);
    const { view } = own[0]!;
    for (const forever of [false, true]) {
      const features = view.features
        .map((feature, index) => ({ feature, index }))
        .filter(({ index }) => own.some(({ reads }) => reads.some((read) => read.feature === index)))
        .filter(({ feature }) => isForever(feature) === forever);
      if (features.length === 0) continue;
      const roles = own
        .map(({ keyIndexes, reads }) => ({
          keyIndexes,
          reads: reads.flatMap(({ feature, slot }) => {
            const at = features.findIndex(({ index }) => index === feature);
            return at < 0 ? [] : [{ feature: at, slot }];
          }),
        }))
        .filter(({ reads }) => reads.length > 0);
      parts.push({ view: { ...view, features: features.map(({ feature }) => feature) }, roles });
    }
  }
  return parts;
}

/** A `first` and a `last_n` may look at any event, whatever the ttl of the latest. */
function isForever({ windowMs, ttlMs, aggregate }: FeatureViewMeta["features"][number]): boolean {
  return windowMs === null && (ttlMs === null || aggregate.aggregation.name !== "latest");
}
