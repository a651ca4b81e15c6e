import type { Value } from "../definitions/value.ts";
import { foundBounds, foundFrom } from "./found-from.ts";
import {
  type HistoricalInputs,
  NOT_FOUND,
  NULL_VALUE,
  OUTSIDE_MAX_AGE,
  PRESENT,
  putValue,
} from "./historical-inputs.ts";
import type { LabelGroups } from "./label-groups.ts";
import { type PointInTimeReader, valueAt } from "./offline/point-in-time.ts";
import type { ServiceLookup } from "./service-runtime.ts";
import { viewColumns } from "./view-columns.ts";

/** True if every feature that the lookup reads is the value of its entity's latest event, whatever that is. */
export function readsLatestOnly({ runtime: { layout }, reads }: ServiceLookup): boolean {
  return reads.every(({ feature }) => {
    const { windowMs, family, slot, aggregation } = layout.features[feature]!;
    return windowMs === null && aggregation.name === "latest" && layout.families[family]!.slots[slot]!.where < 0;
  });
}

/** Reads such features: the store finds each label's latest event, and only those events' values are fetched. */
export async function readLatest(
  store: PointInTimeReader,
  lookup: ServiceLookup,
  labels: LabelGroups,
  into: HistoricalInputs,
): Promise<void> {
  const { layout } = lookup.runtime;
  const columns = viewColumns(
    layout,
    lookup.reads.map(({ feature }) => feature),
  );
  const found = await store.latest({
    source: layout.view.source.name,
    keyColumns: layout.view.keyColumns,
    keys: labels.keys,
    starts: labels.starts,
    times: labels.times,
    reachMs: layout.reachMs,
    columns: columns.columns,
    version: columns.version,
  });
  const inputs = columns.inputsOf(found.columns, found.times.length);
  const foundSince = foundFrom(foundBounds(layout));
  for (const { feature, slot } of lookup.reads) {
    const read = layout.features[feature]!;
    const input = inputs[layout.families[read.family]!.slots[read.slot]!.input]!;
    const ttl = read.ttlMs ?? Number.POSITIVE_INFINITY;
    const values = into.values[slot]!;
    const statuses = into.statuses[slot]!;
    for (let label = 0; label < labels.rows.length; label++) {
      const event = found.events[label]!;
      const time = labels.times[label]!;
      const at = event < 0 ? Number.NEGATIVE_INFINITY : found.times[event]!;
      let value: Value = null;
      let status = NULL_VALUE;
      if (event >= 0 && at >= time - ttl) value = valueAt(input, event);
      else if (event >= 0 && at >= time - 2 * ttl) status = OUTSIDE_MAX_AGE;
      if (value !== null) status = PRESENT;
      if (event < 0 || at < foundSince(time)) status = NOT_FOUND;
      const row = labels.rows[label]!;
      putValue(values, row, value === null && read.default !== undefined ? read.default : value);
      statuses[row] = status;
    }
  }
}
