import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileFeastAnswer } from "../../src/api/feast/feast-answer.ts";
import { collectDeclarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import type { FeatureStatus } from "../../src/feature_engineering/windows/read-features.ts";
import type { EntityReading } from "../../src/feature_store/cached-reader.ts";
import { createFeatureStore } from "../../src/feature_store/feature-store.ts";
import { memoryOnlineStore } from "../../src/feature_store/online/memory-online-store.ts";
import { entity, featureView, httpPush, latest, t, tableSource } from "../../src/index.ts";

const EPOCH = "1970-01-01T00:00:00Z";
const facts = tableSource("facts", {
  table: httpPush(),
  eventTime: "at",
  schema: { id: t.int64(), at: t.timestamp(), text: t.string().nullable(), number: t.float64().nullable() },
});
const thing = entity("thing", { id: t.int64() });
const features = { text: latest(facts.text), number: latest(facts.number) };
const { views } = collectDeclarations({
  left: featureView("left", { source: facts, entity: thing, features }),
  right: featureView("right", { source: facts, entity: thing, features }),
});

/** Of one entity in one view; the same one may be asked for twice, as a kept reading is. */
const readings = fc
  .record({
    text: fc.option(fc.string({ unit: "binary" })),
    number: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true })),
    maxEventTime: fc.integer({ min: 0, max: 2 ** 42 }),
    found: fc.boolean(),
    isKept: fc.boolean(),
  })
  .map(({ text, number, maxEventTime, found, isKept }): EntityReading => {
    const values = [text, number];
    const statuses = values.map((value): FeatureStatus => {
      if (!found) return "NOT_FOUND";
      return value === null ? "NULL_VALUE" : "PRESENT";
    });
    return { values, statuses, found, maxEventTime, headOverlap: false, tooOld: false, made: new Map(), isKept };
  });

describe("compileFeastAnswer", () => {
  it.each([
    ["one view", ["left:number", "left:text"]],
    ["two views", ["right:text", "left:number", "left:text"]],
  ])("writes what was read of %s, whatever the texts and the number of rows", async (_what, list) => {
    await using online = memoryOnlineStore();
    const store = createFeatureStore({ views, services: [], online, offline: null, now: () => 0 });
    const service = store.featureList(list);
    const write = compileFeastAnswer(service, true, true);
    const columns = list.map((reference) => {
      const [view = "", feature = ""] = reference.split(":");
      const lookup = service.lookups.findIndex(({ runtime }) => runtime.layout.view.name === view);
      const index = service.lookups[lookup]!.runtime.layout.features.findIndex(({ name }) => name === feature);
      return { name: `${view}__${feature}`, lookup, index };
    });
    const width = service.lookups.length;
    const sets = fc.array(fc.array(readings, { minLength: width, maxLength: width }), { maxLength: 5 });
    fc.assert(
      fc.property(sets, (entities) => {
        const rows = [...entities, ...entities.slice(0, 1)];
        const at = (row: readonly EntityReading[], { lookup }: (typeof columns)[number]): EntityReading => row[lookup]!;
        const read = {
          service: "feature_list",
          columns: service.row.columns,
          rows: rows.map((row) => columns.map((column) => at(row, column).values[column.index]!)),
          statuses: rows.map((row) => columns.map((column) => at(row, column).statuses[column.index]!)),
          asOf: 0,
          headOverlap: rows.map(() => false),
          readings: rows.flat(),
        };
        const ids = rows.map((_, row) => row);
        const expected = {
          metadata: { feature_names: ["id", ...columns.map(({ name }) => name)] },
          results: [
            { values: ids, statuses: ids.map(() => "PRESENT"), event_timestamps: ids.map(() => EPOCH) },
            ...columns.map((column, c) => ({
              values: read.rows.map((row) => (row[c] === 0 ? 0 : row[c])),
              statuses: read.statuses.map((row) => row[c]),
              event_timestamps: rows.map((row) => {
                const { found, maxEventTime } = at(row, column);
                return found ? new Date(maxEventTime).toISOString() : EPOCH;
              }),
            })),
          ],
        };
        // The second time from what was kept.
        for (let i = 0; i < 2; i++) {
          const answer = write(read, new Map([["id", ids]]), rows.length, false);
          expect(JSON.parse(String(answer))).toEqual(expected);
          if (rows.length === 0) continue;
          const first = { ...read, rows: read.rows.slice(0, 1), readings: rows[0]! };
          const one = JSON.parse(String(write(first, new Map([["id", [0]]]), 1, false)));
          const firsts = (list: readonly unknown[]): unknown[] => list.slice(0, 1);
          expect(one.results).toEqual(
            expected.results.map(({ values, statuses, event_timestamps }) => ({
              values: firsts(values),
              statuses: firsts(statuses),
              event_timestamps: firsts(event_timestamps),
            })),
          );
        }
      }),
    );
  });
});
