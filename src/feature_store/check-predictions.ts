import { isDeepStrictEqual } from "node:util";
import type { Value } from "../definitions/value.ts";
import { createEntityState } from "../feature_engineering/windows/entity-state.ts";
import { createEvaluatedEvent, evaluateEvent, foldEvent } from "../feature_engineering/windows/fold-event.ts";
import { createViewReading, readFeatures, type ViewReading } from "../feature_engineering/windows/read-features.ts";
import type { FeatureStore } from "./feature-store.ts";
import { decodeLoggedPrediction, type LoggedRead } from "./logged-prediction.ts";
import type { OfflineStore, PredictionFilter } from "./offline/offline-store.ts";
import type { ServiceLookup } from "./service-runtime.ts";

export interface PredictionReport {
  /** Logged rows that were computed again; values that were redacted are not. */
  readonly predictions: number;
  readonly values: number;
  readonly mismatches: number;
  /** Rows of a service that has changed since, or whose positions are not known. */
  readonly skipped: number;
  /** By service the rows whose values are all equal, those of which any differs, and those that were skipped. */
  readonly services: readonly {
    readonly service: string;
    readonly equal: number;
    readonly different: number;
    readonly unknown: number;
  }[];
  /** The smallest id of the rows that were looked at: `beforeId` of the next page; null without a row. */
  readonly oldestId: number | null;
  /** The first few: the model, the feature and both values, without keys. */
  readonly examples: readonly {
    readonly service: string;
    readonly model: string;
    readonly view: string;
    readonly feature: string;
    readonly served: string;
    readonly history: string;
  }[];
}

/**
 * Computes logged predictions' inputs again, from exactly the events that had been applied when they were served, and
 * compares them bit for bit: what serving knew, not what is known today.
 */
export async function checkPredictions({
  offline,
  store,
  filter,
}: {
  readonly offline: OfflineStore;
  readonly store: Pick<FeatureStore, "services">;
  readonly filter: PredictionFilter;
}): Promise<PredictionReport> {
  let predictions = 0;
  let values = 0;
  let mismatches = 0;
  let skipped = 0;
  let oldestId: number | null = null;
  const services = new Map<string, { service: string; equal: number; different: number; unknown: number }>();
  const examples: PredictionReport["examples"][number][] = [];
  for (const { id, model, json } of await offline.predictions(filter)) {
    const logged = decodeLoggedPrediction(json);
    oldestId = oldestId === null ? id : Math.min(oldestId, id);
    const { service } = logged;
    const ofService = services.get(service) ?? { service, equal: 0, different: 0, unknown: 0 };
    services.set(service, ofService);
    const runtime = store.services.get(logged.service);
    const isCurrent =
      runtime !== undefined &&
      runtime.hash === logged.serviceHash &&
      runtime.lookups.every((lookup, index) => lookup.runtime.keyspace === logged.views?.[index]?.keyspace);
    if (!isCurrent || logged.views === null) {
      skipped++;
      ofService.unknown++;
      continue;
    }
    predictions++;
    const before = mismatches;
    for (const [index, lookup] of runtime.lookups.entries()) {
      const key = lookup.keyIndexes.map((at) => logged.lookup[at]!);
      const reading = await readAsApplied(offline, lookup, key, logged.views[index]!, logged.asOf);
      const { view, features } = { ...lookup.runtime.layout };
      for (const { feature, slot } of lookup.reads) {
        if (logged.redacted?.includes(slot) === true) continue;
        values++;
        const [value, status] = [reading.values[feature]!, reading.statuses[feature]!];
        if (isDeepStrictEqual(value, logged.inputs[slot]) && status === logged.statuses[slot]) continue;
        mismatches++;
        if (examples.length >= 10) continue;
        examples.push({
          service,
          model,
          view: view.name,
          feature: features[feature]!.name,
          served: `${String(logged.inputs[slot])} ${logged.statuses[slot]}`,
          history: `${String(value)} ${status}`,
        });
      }
    }
    if (mismatches > before) ofService.different++;
    else ofService.equal++;
  }
  return { predictions, values, mismatches, skipped, services: [...services.values()], oldestId, examples };
}

async function readAsApplied(
  offline: OfflineStore,
  { runtime: { layout } }: ServiceLookup,
  key: readonly Value[],
  { positions }: LoggedRead,
  time: number,
): Promise<ViewReading> {
  const reading = createViewReading(layout);
  const applied = new Map(positions ?? []);
  const state = createEntityState(layout);
  const evaluated = createEvaluatedEvent(layout);
  let any = false;
  if (positions !== null) {
    const { source, keyColumns } = layout.view;
    const query = { source: source.name, keyColumns, keys: [key], from: null, before: null } as const;
    for await (const events of offline.history({ ...query, knowledge: "event_time" })) {
      for (const event of events) {
        if (event.offset > (applied.get(event.partitionId) ?? -1)) continue;
        any = true;
        evaluateEvent(layout, event.row, evaluated);
        foldEvent(layout, state, event, evaluated, Number.NEGATIVE_INFINITY);
      }
    }
  }
  readFeatures(layout, any ? state : null, time, reading);
  return reading;
}
