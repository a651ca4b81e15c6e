import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as declared from "../examples/flight_delays/features.ts";
import { flightDelayFeatures } from "../examples/flight_delays/features.ts";
import { auc } from "../examples/flight_delays/replay/auc.ts";
import { type Flight, readFlights } from "../examples/flight_delays/replay/flights.ts";
import { loadModelFolder } from "../src/api/models/load-model-folder.ts";
import { Meta } from "../src/definitions/meta.ts";
import type { Value } from "../src/definitions/value.ts";
import { collectDeclarations } from "../src/feature_engineering/plan/collect-declarations.ts";
import {
  compileEventExpression,
  compilePredicate,
} from "../src/feature_engineering/transforms/compile-event-expression.ts";
import type { FittedState } from "../src/feature_engineering/transforms/fitted-state.ts";
import { type NaiveEvent, naiveFeatures } from "../src/feature_engineering/windows/naive-window.ts";
import type { FeatureStatus } from "../src/feature_engineering/windows/read-features.ts";
import { createFeatureStore } from "../src/feature_store/feature-store.ts";
import { duckdbOfflineStore } from "../src/feature_store/offline/duckdb-offline-store.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import { lmdbOnlineStore } from "../src/feature_store/online/lmdb-online-store.ts";
import type { ServiceRuntime } from "../src/feature_store/service-runtime.ts";
import { createPipeline } from "../src/pipeline/pipeline.ts";

const MODEL = new URL("../examples/flight_delays/model/1", import.meta.url).pathname;

/**
 * Acceptance: for every flight of March, the row that the server read online equals the row that history gives for the
 * same keys and time, and the oracle's, value for value. The replay is held before the first event at or after t.
 */
export async function run(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "millrace-parity-"));
  const declarations = collectDeclarations(declared);
  const online = await lmdbOnlineStore({ path: join(folder, "hot") });
  const offline = await duckdbOfflineStore({ path: join(folder, "cold.duckdb") });
  const pipeline = createPipeline({ ...declarations, online, offline, replay: { hold: true } });
  const store = createFeatureStore({ ...declarations, online, offline, now: Date.now });
  const service = store.service(flightDelayFeatures[Meta].name);
  try {
    const model = await loadModelFolder(MODEL);
    const fitted = model.millrace as unknown as FittedState;
    const flights = readFlights("2013-03");
    await pipeline.recover();
    await pipeline.start();

    const started = performance.now();
    const served: { row: readonly Value[]; statuses: readonly FeatureStatus[] }[] = [];
    for (let from = 0; from < flights.length; ) {
      const { time } = flights[from]!;
      let to = from;
      while (to < flights.length && flights[to]!.time === time) to++;
      await pipeline.advanceTo(time);
      const rows = flights.slice(from, to).map((flight) => flight.lookup);
      const read = await store.getOnlineFeatures(service.service.name, { rows, asOf: time, exact: true, fitted });
      for (let i = 0; i < rows.length; i++) served.push({ row: read.rows[i]!, statuses: read.statuses[i]! });
      from = to;
    }
    print("served online", `${served.length} flights in ${seconds(started)} s`);
    pipeline.release();
    await pipeline.finished();

    const lookups = flights.map((flight) => ({ lookup: service.readLookup(flight.lookup), time: flight.time }));
    const asked = performance.now();
    const history = await store.getHistoricalFeatures(service.service.name, { rows: lookups, fitted });
    print("historical features", `${history.rows.length} rows in ${seconds(asked)} s`);
    const checked = performance.now();
    const oracle = await oracleRows(
      offline,
      service,
      flights,
      lookups.map((l) => l.lookup),
      fitted,
    );
    print("oracle", `${oracle.length} rows in ${seconds(checked)} s`);

    let values = 0;
    let againstHistory = 0;
    let againstOracle = 0;
    for (let i = 0; i < flights.length; i++) {
      for (let c = 0; c < service.row.columns.length; c++) {
        values++;
        const name = service.row.columns[c]!.name;
        const [a, b, o] = [served[i]!.row[c]!, history.rows[i]![c]!, oracle[i]!.row[c]!];
        const [sa, sb, so] = [served[i]!.statuses[c]!, history.statuses[i]![c]!, oracle[i]!.statuses[c]];
        if (!Object.is(a, b) || sa !== sb) {
          if (againstHistory++ < 5)
            process.stdout.write(
              `  ${flights[i]!.id} ${name}: online ${String(a)} ${sa}, history ${String(b)} ${sb}\n`,
            );
        }
        if (!Object.is(a, o) || (so !== undefined && sa !== so)) {
          if (againstOracle++ < 5)
            process.stdout.write(`  ${flights[i]!.id} ${name}: online ${String(a)} ${sa}, oracle ${String(o)} ${so}\n`);
        }
      }
    }
    print("rows compared", `${flights.length}, ${values} values`);
    print("mismatches online against history", String(againstHistory), "0");
    print("mismatches online against the oracle", String(againstOracle), "0");

    const columns = service.row.columns.map((column) => column.name);
    const score = async (rows: readonly (readonly Value[])[]): Promise<number> => {
      const answers = await model.runner.predict({ columns, rows });
      return auc(
        flights.flatMap((flight, i) =>
          flight.late === null ? [] : [{ score: Number(answers[i]), late: flight.late }],
        ),
      );
    };
    const onlineAuc = await score(served.map((s) => s.row));
    const offlineAuc = await score(history.rows);
    print("AUC online", onlineAuc.toFixed(6));
    print("AUC offline", offlineAuc.toFixed(6), "equal to online");
    if (againstHistory + againstOracle > 0 || onlineAuc !== offlineAuc) process.exitCode = 1;
  } finally {
    await pipeline.close();
    await online.close();
    await offline.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The rows by the definitions alone, from all raw events. Statuses of columns that are one feature; else undefined. */
async function oracleRows(
  offline: OfflineStore,
  service: ServiceRuntime,
  flights: readonly Flight[],
  lookups: readonly (readonly Value[])[],
  fitted: FittedState,
): Promise<{ row: Value[]; statuses: (FeatureStatus | undefined)[] }[]> {
  const inputs = flights.map(() => new Array<Value>(service.inputCount));
  const statuses = flights.map(() => new Array<FeatureStatus>(service.inputCount));
  for (const { runtime, keyIndexes, reads } of service.lookups) {
    const { view } = runtime.layout;
    const columns = new Map(view.source.columns.map((column, index) => [column.name, index]));
    const byKey = new Map<string, NaiveEvent[]>();
    const history = offline.history({
      source: view.source.name,
      keyColumns: view.keyColumns,
      keys: null,
      from: null,
      before: null,
      knowledge: "event_time",
    });
    for await (const events of history) {
      for (const event of events) {
        const id = JSON.stringify(runtime.layout.keyIndexes.map((index) => event.row[index]));
        const known = byKey.get(id);
        if (known === undefined) byKey.set(id, [event]);
        else known.push(event);
      }
    }
    const compile = (expression: Parameters<typeof compileEventExpression>[0]) =>
      expression.type.kind === "bool"
        ? compilePredicate(expression, columns, () => {})
        : compileEventExpression(expression, columns, () => {});
    const reach = runtime.layout.reachMs;
    for (let i = 0; i < flights.length; i++) {
      const all = byKey.get(JSON.stringify(keyIndexes.map((index) => lookups[i]![index]))) ?? [];
      const { time } = flights[i]!;
      // Only to save time: what no window and no ttl reaches changes nothing.
      const near = Number.isFinite(reach)
        ? all.slice(lowerBound(all, time - reach - 86_400_000), lowerBound(all, time))
        : all;
      const read = naiveFeatures(view, compile, near, time);
      for (const { feature, slot } of reads) {
        inputs[i]![slot] = read.values[feature]!;
        statuses[i]![slot] = read.statuses[feature]!;
      }
    }
  }
  const make = service.row.bind(fitted);
  return flights.map((_, i) => {
    for (const { index, slot } of service.requests) {
      inputs[i]![slot] = lookups[i]![index]!;
      statuses[i]![slot] = inputs[i]![slot] === null ? "NULL_VALUE" : "PRESENT";
    }
    return {
      row: make(inputs[i]!),
      statuses: service.statusSlots.map((slot) => (slot < 0 ? undefined : statuses[i]![slot]!)),
    };
  });
}

/** The first index at which the event time is at least `time`. */
function lowerBound(events: readonly NaiveEvent[], time: number): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events[middle]!.eventTime < time) low = middle + 1;
    else high = middle;
  }
  return low;
}

function print(what: string, figure: string, aim?: string): void {
  process.stdout.write(`${what.padEnd(40)} ${figure}${aim === undefined ? "" : `   (aim: ${aim})`}\n`);
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1_000).toFixed(1);
}
