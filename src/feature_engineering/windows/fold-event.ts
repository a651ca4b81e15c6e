import type { Value } from "../../definitions/value.ts";
import type { EventOrder } from "../aggregations/aggregation.ts";
import type { EntityState } from "./entity-state.ts";
import { floorTo } from "./hop.ts";
import { dropTiles, type FamilyState, positionUnit, type Tile, tileStates, unpackTiles } from "./packed-tiles.ts";
import type { TileFamily, ViewLayout } from "./view-layout.ts";

/** An event's inputs and predicates, evaluated once for all of its view's features. */
export interface EvaluatedEvent {
  readonly inputs: Value[];
  readonly wheres: boolean[];
}

/** A scratch to evaluate events of the view into. */
export function createEvaluatedEvent(layout: ViewLayout): EvaluatedEvent {
  return { inputs: layout.inputs.map(() => null), wheres: layout.wheres.map(() => false) };
}

/** Evaluates the row: a deleted table row has null inputs and passes every predicate. */
export function evaluateEvent(layout: ViewLayout, row: readonly Value[], into: EvaluatedEvent): void {
  const deleted = layout.deletedIndex >= 0 && row[layout.deletedIndex] === true;
  for (let i = 0; i < layout.inputs.length; i++) into.inputs[i] = deleted ? null : layout.inputs[i]!(row);
  for (let i = 0; i < layout.wheres.length; i++) into.wheres[i] = deleted || layout.wheres[i]!(row) === true;
}

/**
 * Adds one event to its entity's tiles. `clock` is the source's clock: a tile that no window within the future bound
 * of it can need is not made again (the event stays in history). Epoch milliseconds.
 */
export function foldEvent(
  layout: ViewLayout,
  state: EntityState,
  event: EventOrder,
  evaluated: EvaluatedEvent,
  clock: number,
): void {
  const time = event.eventTime;
  const { inputs, wheres } = evaluated;
  if (time > state.maxEventTime) state.maxEventTime = time;
  for (let index = 0; index < layout.families.length; index++) {
    const family = layout.families[index]!;
    const tiles = state.families[index]!;
    let tile: Tile;
    if (family.hopMs === 0) {
      tile = tiles.newest ?? tileAt(family, tiles, 0);
    } else {
      // Most events are recent: one comparison shows it.
      if (time < clock - layout.futureBoundMs - family.reachMs) {
        const needed = neededFrom(family, layout.futureBoundMs, clock);
        if (time < needed) {
          if (tiles.completeFrom < needed) tiles.completeFrom = needed;
          continue;
        }
      }
      const head = tiles.newest;
      const isHead = head !== null && time >= head.start && time < head.start + family.hopMs;
      tile = isHead ? head : tileAt(family, tiles, floorTo(time, family.hopMs));
    }
    const states = tile.states ?? tileStates(family, tile);
    const slots = family.slots;
    for (let slot = 0; slot < slots.length; slot++) {
      const { aggregation, input, where } = slots[slot]!;
      if (where >= 0 && !wheres[where]) continue;
      const value = input < 0 ? null : inputs[input]!;
      if (value === null && !aggregation.takesNulls) continue;
      states[slot] = aggregation.add(states[slot], value, event);
    }
  }
}

/** Drops what no window within the future bound of the clock can need. */
export function pruneState(layout: ViewLayout, state: EntityState, clock: number): void {
  for (let index = 0; index < layout.families.length; index++) {
    const family = layout.families[index]!;
    const tiles = state.families[index]!;
    if (family.hopMs === 0) continue;
    const needed = neededFrom(family, layout.futureBoundMs, clock);
    if (dropTiles(family, tiles, needed) && tiles.completeFrom < needed) tiles.completeFrom = needed;
  }
}

/** True once nothing in a state with this largest event time can be of use at or after the clock less the future bound. */
export function isExpired(layout: ViewLayout, maxEventTime: number, clock: number): boolean {
  return maxEventTime + layout.reachMs + layout.futureBoundMs < clock;
}

/** How much later than needed stores drop values by themselves: their clock may be ahead. Milliseconds. */
const EXPIRY_SLACK_MS = 60_000;

/** From when on a hot store may drop the value by itself; undefined if only we know the source's clock, or if never. */
export function expiryOf(layout: ViewLayout, maxEventTime: number): number | undefined {
  if (layout.view.source.clock !== "wall" || layout.reachMs === Number.POSITIVE_INFINITY) return undefined;
  return maxEventTime + layout.reachMs + layout.futureBoundMs + EXPIRY_SLACK_MS;
}

/**
 * Whole values with events before this moment only may be gone from a store that drops them by itself; −Infinity if it
 * never drops any of the view. `clock` is the source's clock.
 */
export function expiredBefore(layout: ViewLayout, clock: number): number {
  if (layout.view.source.clock !== "wall" || layout.reachMs === Number.POSITIVE_INFINITY)
    return Number.NEGATIVE_INFINITY;
  return clock - layout.reachMs - layout.futureBoundMs;
}

/** The start of the first tile that a read at (clock − future bound) or later can need. */
export function neededFrom(
  family: Pick<TileFamily, "hopMs" | "reachMs">,
  futureBoundMs: number,
  clock: number,
): number {
  if (clock === Number.NEGATIVE_INFINITY || family.reachMs === Number.POSITIVE_INFINITY)
    return Number.NEGATIVE_INFINITY;
  return floorTo(clock - futureBoundMs - family.reachMs, family.hopMs);
}

function tileAt(family: TileFamily, state: FamilyState, start: number): Tile {
  const late = state.packed > 0 && start <= state.lastPosition * positionUnit(family);
  const tiles = late ? unpackTiles(family, state) : state.tiles;
  let index = tiles.length - 1;
  while (index >= 0 && tiles[index]!.start > start) index--;
  const found = tiles[index];
  if (found !== undefined && found.start === start) return found;
  const states = family.slots.map((slot) => slot.aggregation.create());
  const tile: Tile = { start, states, bytes: null, from: 0, to: 0 };
  if (index === tiles.length - 1) state.newest = tile;
  tiles.splice(index + 1, 0, tile);
  return tile;
}
