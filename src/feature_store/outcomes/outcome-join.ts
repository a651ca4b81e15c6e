import type { Value } from "../../definitions/value.ts";
import type { EventOrder } from "../../feature_engineering/aggregations/aggregation.ts";
import { compareEventOrder } from "../../feature_engineering/aggregations/event-order.ts";
import type { LoggedEvent } from "../../feature_engineering/engine/event-log.ts";
import { brokenBounds } from "../../feature_engineering/outcomes/broken-bounds.ts";
import type { OutcomePair } from "../../feature_engineering/outcomes/outcome-pair.ts";
import { outcomeQuality } from "../../feature_engineering/outcomes/outcome-quality.ts";
import type { OutcomeReport, OutcomeWindow } from "./outcome-report.ts";
import type { OutcomeRuntime } from "./outcome-runtime.ts";

/** As much of a logged prediction as its outcome needs. */
export interface JoinPrediction {
  /** Of the log. */
  readonly id: number;
  readonly key: string;
  /** The values of the key that history is asked by. */
  readonly historyKey: readonly Value[];
  /** t, epoch milliseconds. */
  readonly asOf: number;
  readonly version: string;
  readonly weight: number;
  /** Null if the model gave no number. */
  readonly answer: OutcomePair["answer"] | null;
}

/**
 * Logged predictions and the events that tell what became of them. What it says is a function of the two sets: not of
 * their order, of what came twice, or of when.
 */
export interface OutcomeJoin {
  /** False if it is known. */
  addPrediction(prediction: JoinPrediction): boolean;
  addEvent(event: LoggedEvent): void;
  /** `clock`: the source's, epoch milliseconds. Forgets what no later report needs. */
  report(clock: number): OutcomeReport;
}

interface Held {
  readonly prediction: JoinPrediction;
  told: { readonly order: EventOrder; readonly label: number | string } | null;
}

/** One whose fate is known. */
interface Decided {
  readonly held: Held;
  /** When it was, epoch milliseconds. */
  readonly at: number;
}

/** The pairs that bounds are held against. */
const RECENT = 500;

export function createOutcomeJoin(runtime: OutcomeRuntime, capacity = 100_000): OutcomeJoin {
  const { meta, classes } = runtime;
  const longest = Math.max(...meta.windows.map(({ ms }) => ms));
  const byKey = new Map<string, Held[]>();
  const byId = new Map<number, Held>();
  /** Of the capacity, what was too much. */
  let dropped = 0;
  let completeFrom = Number.NEGATIVE_INFINITY;

  function drop({ prediction }: Held): void {
    byId.delete(prediction.id);
    const left = byKey.get(prediction.key)!.filter((held) => held.prediction !== prediction);
    if (left.length === 0) byKey.delete(prediction.key);
    else byKey.set(prediction.key, left);
  }

  function forget(clock: number): void {
    for (const held of byId.values()) {
      if (clock - held.prediction.asOf > meta.withinMs + meta.source.latenessMs + longest) drop(held);
    }
    if (byId.size <= capacity) return;
    const oldest = [...byId.values()].sort((a, b) => a.prediction.asOf - b.prediction.asOf);
    for (const held of oldest.slice(0, byId.size - capacity)) {
      drop(held);
      dropped++;
      completeFrom = Math.max(completeFrom, held.prediction.asOf + 1);
    }
  }

  function isBetter(order: EventOrder, known: EventOrder): boolean {
    if (meta.take === "first" && order.eventTime !== known.eventTime) return order.eventTime < known.eventTime;
    return compareEventOrder(order, known) > 0;
  }

  function windowOf(name: string, decided: readonly Decided[]): OutcomeWindow {
    const versions = new Map<string, Decided[]>();
    for (const one of decided) {
      const { version } = one.held.prediction;
      const known = versions.get(version);
      if (known === undefined) versions.set(version, [one]);
      else known.push(one);
    }
    return {
      name,
      ...qualityOf(decided),
      versions: [...versions].sort().map(([version, own]) => ({ version, ...qualityOf(own) })),
    };
  }

  function qualityOf(decided: readonly Decided[]): Pick<OutcomeWindow, "quality" | "unmatched" | "unscored"> {
    const matched = decided.filter(({ held }) => labelOf(held) !== null);
    const pairs = matched.flatMap(({ held }) => pairOf(held));
    return {
      quality: outcomeQuality(meta.task, pairs, classes),
      unmatched: decided.length - matched.length,
      unscored: matched.length - pairs.length,
    };
  }

  /** Of one whose fate is known. */
  function labelOf({ told }: Held): number | string | null {
    return told === null ? runtime.otherwise : told.label;
  }

  function pairOf(held: Held): OutcomePair[] {
    const { answer, weight } = held.prediction;
    const label = labelOf(held);
    if (answer === null || label === null) return [];
    if (classes.length > 0 && !classes.includes(String(label))) return [];
    return [{ label, answer, weight }];
  }

  return {
    addPrediction(prediction) {
      if (byId.has(prediction.id)) return false;
      const held: Held = { prediction, told: null };
      byId.set(prediction.id, held);
      const known = byKey.get(prediction.key);
      if (known === undefined) byKey.set(prediction.key, [held]);
      else known.push(held);
      return true;
    },
    addEvent(event) {
      const key = runtime.keyOf(event.row);
      const waiting = key === null ? undefined : byKey.get(key);
      if (waiting === undefined) return;
      const label = runtime.labelOf(event.row);
      if (label === null) return;
      for (const held of waiting) {
        const after = event.eventTime - held.prediction.asOf;
        if (after < 0 || after >= meta.withinMs) continue;
        if (held.told === null || isBetter(event, held.told.order)) held.told = { order: orderOf(event), label };
      }
    },
    report(clock) {
      forget(clock);
      const decided: Decided[] = [];
      let waiting = 0;
      for (const held of byId.values()) {
        const end = held.prediction.asOf + meta.withinMs;
        if (held.told !== null && held.told.order.eventTime < clock) {
          decided.push({ held, at: held.told.order.eventTime });
        } else if (held.told === null && clock >= end + meta.source.latenessMs) decided.push({ held, at: end });
        else waiting++;
      }
      // Sums of doubles depend on their order, and after a restart predictions come in another one.
      decided.sort((a, b) => a.held.prediction.id - b.held.prediction.id);
      const recent = decided
        .filter(({ held }) => pairOf(held).length > 0)
        .sort((a, b) => b.at - a.at || b.held.prediction.id - a.held.prediction.id)
        .slice(0, RECENT)
        .sort((a, b) => a.held.prediction.id - b.held.prediction.id);
      const lately = windowOf("recent", recent);
      return {
        outcome: meta.name,
        model: meta.model.name,
        service: meta.model.service.name,
        task: meta.task,
        clock,
        waiting,
        dropped,
        completeFrom: Number.isFinite(completeFrom) ? completeFrom : null,
        windows: [
          lately,
          ...meta.windows.map(({ name, ms }) =>
            windowOf(
              name,
              decided.filter(({ at }) => at >= clock - ms),
            ),
          ),
        ],
        bounds: brokenBounds(meta.bounds, lately.quality),
      };
    },
  };
}

/** The row that the event brought is not kept. */
function orderOf({ eventTime, version, ingestedAt, hash0, hash1, hash2, hash3 }: EventOrder): EventOrder {
  return { eventTime, version, ingestedAt, hash0, hash1, hash2, hash3 };
}
