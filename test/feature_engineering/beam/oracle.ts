import type { FeatureViewMeta } from "../../../src/definitions/feature-view.ts";
import type { Value } from "../../../src/definitions/value.ts";
import { createByteWriter } from "../../../src/feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../../../src/feature_engineering/encoding/entity-key.ts";
import type { LoggedEvent } from "../../../src/feature_engineering/engine/event-log.ts";
import { createMessageLogger } from "../../../src/feature_engineering/engine/message-logger.ts";
import {
  compileEventExpression,
  compilePredicate,
} from "../../../src/feature_engineering/transforms/compile-event-expression.ts";
import { decodeEntityState } from "../../../src/feature_engineering/windows/entity-state.ts";
import { naiveFeatures } from "../../../src/feature_engineering/windows/naive-window.ts";
import { createViewReading, readFeatures } from "../../../src/feature_engineering/windows/read-features.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import type { RandomStream } from "./random-stream.ts";

/** The packed values of one key space, by their keys in hexadecimal digits. */
export type StoredValues = ReadonlyMap<string, Uint8Array>;

export interface OracleComparison {
  values: number;
  mismatches: number;
  /** The first few, for a person. */
  readonly examples: string[];
}

/** The events that count: of those with one id and event time the first. */
export function eventsOf({ source, messages }: Pick<RandomStream, "source" | "messages">): LoggedEvent[] {
  const log = createMessageLogger(source);
  const seen = new Set<string>();
  const timeIndex = source.columns.findIndex((column) => column.name === source.eventTime);
  return messages.flatMap(({ row, partition, offset, arrival }) => {
    if (row === null) return [];
    const eventTime = row[timeIndex] as number;
    const event = log(
      {
        ...{ source: source.name, partition: String(partition), offset, key: null, eventTime },
        // What is no text in UTF-8 is stored as U+FFFD.
        payload: row.map((value) => (typeof value === "string" ? value.toWellFormed() : value)),
        ...{ ingestedAt: arrival, headers: {} },
      },
      partition,
    );
    if (source.id !== null) {
      const identity = `${event.id}@${eventTime}`;
      if (seen.has(identity)) return [];
      seen.add(identity);
    }
    return [event];
  });
}

/** Compares what is stored of a view with the oracle, for every entity of the events and of the store, at `times`. */
export function compareWithOracle(
  view: FeatureViewMeta,
  events: readonly LoggedEvent[],
  stored: StoredValues,
  times: readonly number[],
  into: OracleComparison,
): void {
  const { layout } = createViewRuntime(view);
  const columns = new Map(view.source.columns.map((column, index) => [column.name, index]));
  const entities = new Map<string, LoggedEvent[]>();
  for (const event of events) {
    const key = layout.keyIndexes.map((index) => event.row[index]!);
    if (key.some((part) => part === null)) continue;
    const name = keyOf(layout.keyTypes, key);
    const known = entities.get(name);
    if (known === undefined) entities.set(name, [event]);
    else known.push(event);
  }
  for (const key of new Set([...entities.keys(), ...stored.keys()])) {
    const bytes = stored.get(key);
    const state = bytes === undefined ? null : decodeEntityState(layout, bytes);
    for (const time of times) {
      const reading = createViewReading(layout);
      readFeatures(layout, state, time, reading);
      const expected = naiveFeatures(
        view,
        (expression) =>
          expression.type.kind === "bool"
            ? compilePredicate(expression, columns, () => {})
            : compileEventExpression(expression, columns, () => {}),
        entities.get(key) ?? [],
        time,
      );
      view.features.forEach((feature, index) => {
        into.values++;
        const found = show(reading.values[index]!, reading.statuses[index]!);
        const wanted = show(expected.values[index]!, expected.statuses[index]!);
        if (found === wanted) return;
        into.mismatches++;
        if (into.examples.length < 10) {
          into.examples.push(
            `${view.name} ${key} ${feature.name} (${feature.aggregate.aggregation.name}) at ${time}: ${wanted} became ${found}`,
          );
        }
      });
    }
  }
}

function keyOf(types: Parameters<typeof encodeEntityKey>[0], key: readonly Value[]): string {
  const out = createByteWriter(32);
  encodeEntityKey(types, key, out);
  return Buffer.from(out.finish()).toString("hex");
}

function show(value: Value, status: string): string {
  return `${JSON.stringify(value, (_name, one: unknown) =>
    typeof one === "bigint" ? `${one}n` : Object.is(one, -0) ? "-0" : one,
  )} ${status}`;
}
