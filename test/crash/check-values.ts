import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { gunzipSync } from "node:zlib";
import { parse } from "csv-parse/sync";
import type { SourceMeta } from "../../src/definitions/source.ts";
import type { Value } from "../../src/definitions/value.ts";
import { createByteWriter } from "../../src/feature_engineering/encoding/byte-writer.ts";
import { encodeEntityKey } from "../../src/feature_engineering/encoding/entity-key.ts";
import type { LoggedEvent } from "../../src/feature_engineering/engine/event-log.ts";
import { createMessageLogger } from "../../src/feature_engineering/engine/message-logger.ts";
import { metaNames } from "../../src/feature_engineering/engine/meta-names.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import {
  compileEventExpression,
  compilePredicate,
} from "../../src/feature_engineering/transforms/compile-event-expression.ts";
import { decodeEntityState } from "../../src/feature_engineering/windows/entity-state.ts";
import { naiveFeatures } from "../../src/feature_engineering/windows/naive-window.ts";
import { createViewReading, readFeatures } from "../../src/feature_engineering/windows/read-features.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { createViewRuntime } from "../../src/feature_store/view-runtime.ts";
import { compileRowDecoder, isDecodeFailure } from "../../src/ingestion/decoders/row-decoder.ts";
import * as declared from "./declarations.ts";

export interface ValueCheck {
  readonly entities: number;
  readonly values: number;
  readonly mismatches: number;
  readonly examples: readonly string[];
}

/** Compares every feature of every entity in the hot store with the oracle's, computed from the example's files alone. */
export async function checkValues(online: OnlineStore): Promise<ValueCheck> {
  const { sources, views } = collectDeclarations(declared);
  const events = new Map(sources.map((source) => [source.name, readEvents(source)]));
  let entities = 0;
  let values = 0;
  let mismatches = 0;
  const examples: string[] = [];
  for (const view of views) {
    const { layout, keyspace } = createViewRuntime(view);
    const columns = new Map(view.source.columns.map((column, index) => [column.name, index]));
    const all = events.get(view.source.name)!;
    const time = Math.max(...all.map((event) => event.eventTime)) + 1;
    const [clock] = await online.readMeta([metaNames.clock(view.source.name)]);
    if (Number(clock) !== time) {
      mismatches++;
      examples.push(`clock of ${view.source.name}: ${clock}, expected ${time}`);
    }
    const byKey = new Map<string, { key: Value[]; events: LoggedEvent[] }>();
    for (const event of all) {
      const key = layout.keyIndexes.map((index) => event.row[index]!);
      if (key.some((part) => part === null)) continue;
      const id = JSON.stringify(key);
      const known = byKey.get(id);
      if (known === undefined) byKey.set(id, { key, events: [event] });
      else known.events.push(event);
    }
    for (const { key, events: own } of byKey.values()) {
      entities++;
      const out = createByteWriter();
      encodeEntityKey(layout.keyTypes, key, out);
      const [stored] = await online.read([{ keyspace, key: out.finish() }]);
      const reading = createViewReading(layout);
      readFeatures(layout, stored ? decodeEntityState(layout, stored.bytes) : null, time, reading);
      const expected = naiveFeatures(
        view,
        (e) =>
          e.type.kind === "bool"
            ? compilePredicate(e, columns, () => {})
            : compileEventExpression(e, columns, () => {}),
        own,
        time,
      );
      for (const [index, feature] of view.features.entries()) {
        values++;
        if (
          isDeepStrictEqual(reading.values[index], expected.values[index]) &&
          reading.statuses[index] === expected.statuses[index]
        )
          continue;
        mismatches++;
        if (examples.length < 5) {
          examples.push(
            `${view.name}.${feature.name}: ${String(reading.values[index])}, the oracle says ${String(expected.values[index])}`,
          );
        }
      }
    }
  }
  return { entities, values, mismatches, examples };
}

/** The events of a source as its file has them, read without the ingestion loop. */
function readEvents(source: SourceMeta): LoggedEvent[] {
  if (source.connector.connector !== "file_replay") return [];
  const decoder = compileRowDecoder(source.columns, { eventTime: source.eventTime, cells: "text" });
  const log = createMessageLogger(source);
  return source.connector.paths.flatMap((path) => {
    const bytes = readFileSync(path);
    const records = parse(path.endsWith(".gz") ? gunzipSync(bytes) : bytes, { columns: true }) as Record<
      string,
      string
    >[];
    return records.map((record, offset) => {
      const payload = decoder.decode(record);
      if (isDecodeFailure(payload)) throw new TypeError(payload.reason);
      const eventTime = payload[decoder.eventTimeIndex] as number;
      return log(
        {
          source: source.name,
          partition: "file",
          offset,
          key: null,
          payload,
          eventTime,
          ingestedAt: eventTime,
          headers: {},
        },
        0,
      );
    });
  });
}
