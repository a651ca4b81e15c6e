import { createEntityState, decodeEntityState, type EntityState, encodeEntityState } from "../windows/entity-state.ts";
import { foldEvent, pruneState } from "../windows/fold-event.ts";
import type { ViewLayout } from "../windows/view-layout.ts";
import type { EntityTable } from "./entity-table.ts";

/** An {@link EntityTable} of an object per entity: for every aggregation there is. */
export function createBoxedTable(layout: ViewLayout): EntityTable {
  const states: (EntityState | null)[] = [];
  return {
    load(row, bytes, completeFrom) {
      states[row] = bytes === null ? createEntityState(layout, completeFrom) : decodeEntityState(layout, bytes);
    },
    fold(row, event, evaluated, clock) {
      foldEvent(layout, states[row]!, event, evaluated, clock);
    },
    encode(rows, clock, positionsOf) {
      const encoded: Uint8Array[] = [];
      for (let i = 0; i < rows.length; i++) {
        const state = states[rows[i]!]!;
        pruneState(layout, state, clock);
        encoded.push(encodeEntityState(layout, state, positionsOf(rows[i]!)));
      }
      return encoded;
    },
    maxEventTime: (row) => states[row]!.maxEventTime,
    release(row) {
      states[row] = null;
    },
  };
}
