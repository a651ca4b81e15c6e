import { isDeepStrictEqual } from "node:util";
import type { Value } from "../../src/definitions/value.ts";
import { createByteWriter } from "../../src/feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../../src/feature_engineering/encoding/entity-key.ts";
import type { LoggedEvent } from "../../src/feature_engineering/engine/event-log.ts";
import { createMessageLogger } from "../../src/feature_engineering/engine/message-logger.ts";
import type { Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import { compileEventExpression } from "../../src/feature_engineering/transforms/compile-event-expression.ts";
import { decodeEntityState } from "../../src/feature_engineering/windows/entity-state.ts";
import { naiveFeatures } from "../../src/feature_engineering/windows/naive-window.ts";
import { createViewReading, readFeatures } from "../../src/feature_engineering/windows/read-features.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";
import type { OpenFaultStores } from "./fault-stores.ts";
import { POISON } from "./order-producer.ts";

/** One order as it was produced; in the declared order of the columns. */
export type OrderRow = readonly [n: number, customer: string, shop: string, amount: number, at: number];

export interface OrdersCheck {
  readonly events: number;
  /** Produced and not in the cold store. */
  readonly lost: number;
  /** In the cold store more than once, or never produced for good. */
  readonly twice: number;
  /** Set aside; one that has not the bytes that were sent, or another's position, counts as two. */
  readonly deadLetters: number;
  readonly values: number;
  /** Values in the hot store that are not the oracle's. */
  readonly mismatches: number;
  readonly examples: readonly string[];
}

/** Compares the stores with what was produced. */
export async function checkOrders(
  { online, offline }: OpenFaultStores,
  { sources, views }: Declarations,
  produced: readonly OrderRow[],
): Promise<OrdersCheck> {
  const source = sources[0]!;
  const found = new Map<number, number>();
  for (const { partitionId, committed } of await offline.partitions(source.name)) {
    for await (const events of offline.read(source.name, partitionId, -1, committed)) {
      for (const { row } of events) found.set(row[0] as number, (found.get(row[0] as number) ?? 0) + 1);
    }
  }
  const lost = produced.filter(([n]) => !found.has(n)).length;
  const known = new Set(produced.map(([n]) => n));
  let twice = 0;
  for (const [n, times] of found) twice += known.has(n) ? times - 1 : times;
  const letters = await offline.deadLetters({ source: source.name, limit: 1_000_000 });
  const isPoison = ({ bytes }: { readonly bytes: Uint8Array }): boolean => Buffer.from(bytes).toString() === POISON;
  const places = new Set(letters.filter(isPoison).map(({ partition, offset }) => `${partition}@${offset}`));
  // One whose bytes or position are not the message's is one too many.
  const deadLetters = letters.length + (letters.length - places.size);

  const log = createMessageLogger(source);
  const events = produced.map((row): LoggedEvent => {
    const at = row[4];
    const message = { source: source.name, partition: "0", offset: row[0], key: null, headers: {} };
    return log({ ...message, payload: row, eventTime: at, ingestedAt: at }, 0);
  });
  const columns = new Map(source.columns.map((column, index) => [column.name, index]));
  const time = Date.now();
  let values = 0;
  let mismatches = 0;
  const examples: string[] = [];
  for (const view of views) {
    const { layout, keyspace } = createViewRuntime(view);
    const byKey = Map.groupBy(events, (event) => event.row[layout.keyIndexes[0]!] as Value);
    for (const [key, own] of byKey) {
      const out = createByteWriter();
      encodeEntityKey(layout.keyTypes, [key], out);
      const [stored] = await online.read([{ keyspace, key: out.finish() }]);
      const reading = createViewReading(layout);
      readFeatures(layout, stored ? decodeEntityState(layout, stored.bytes) : null, time, reading);
      const expected = naiveFeatures(view, (e) => compileEventExpression(e, columns, () => {}), own, time);
      for (const [index, feature] of view.features.entries()) {
        values++;
        if (isDeepStrictEqual(reading.values[index], expected.values[index])) continue;
        mismatches++;
        if (examples.length >= 5) continue;
        examples.push(
          `${view.name}.${feature.name} of ${String(key)}: ${String(reading.values[index])}, the oracle says ${String(expected.values[index])}`,
        );
      }
    }
  }
  return { events: produced.length, lost, twice, deadLetters, values, mismatches, examples };
}
