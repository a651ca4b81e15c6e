import { readFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { ColumnTypeSpec, Value } from "../src/definitions/value.ts";
import { serviceProfileBuilder } from "../src/feature_engineering/profiles/profile-builder.ts";
import type { ServiceProfile } from "../src/feature_engineering/profiles/value-profile.ts";
import { type RowQuality, rowQuality } from "../src/monitoring/quality/row-quality.ts";

type Row = readonly Value[];

const DATA = join(import.meta.dirname, "..", "examples", "flight_delays", "data");
const number: ColumnTypeSpec = { kind: "float64", nullable: true };
const text: ColumnTypeSpec = { kind: "string", nullable: true };
/** Per file the columns that are looked at; times only tell the months apart. */
const FILES = [
  {
    file: "departures.csv.gz",
    time: "departed_at",
    numbers: ["dep_delay_minutes"],
    texts: ["carrier", "origin", "dest"],
  },
  {
    file: "flights.csv.gz",
    time: "prediction_time",
    numbers: ["distance_miles", "scheduled_duration_minutes", "local_hour", "local_minute_of_day", "day_of_week"],
    texts: ["carrier", "origin", "dest"],
  },
  {
    file: "weather.csv.gz",
    time: "observed_at",
    numbers: ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"],
    texts: ["origin"],
  },
] as const;

interface Table {
  readonly name: string;
  readonly columns: readonly { readonly name: string; readonly type: ColumnTypeSpec }[];
  readonly february: readonly Row[];
  readonly march: readonly Row[];
}

/**
 * February's flights against March's, an injected unit error, and false alarms on bootstraps of February. Arguments:
 * trials (default 1,000), rows of each (default 3,000).
 */
export async function run(args: readonly string[]): Promise<void> {
  const trials = Number(args[0] ?? 1_000);
  const rows = Number(args[1] ?? 3_000);
  const tables = FILES.map(read);
  for (const table of tables) compareMonths(table);
  const departures = tables[0]!;
  const late = reportUnitError(departures, 200);
  const alarms = tables.map((table) => reportFalseAlarms(table, trials, rows));
  const cost = reportCost(departures);
  const share = Math.max(...alarms) / trials;
  console.log(
    `\nfalse alarms: at most ${(share * 100).toFixed(1)}% of ${trials} trials of a table (aim: 1%); unit error found after at most ${late} events (aim: 500); ${cost.toFixed(0)} ns a sampled row`,
  );
  if (share > 0.01 || late > 500) process.exitCode = 1;
}

function read({ file, time, numbers, texts }: (typeof FILES)[number]): Table {
  const [head = "", ...lines] = gunzipSync(readFileSync(join(DATA, file)))
    .toString("utf8")
    .trim()
    .split("\n");
  const names = head.split(",");
  const at = (name: string): number => names.indexOf(name);
  const month = at(time);
  const wanted: readonly string[] = [...numbers, ...texts];
  const isNumber = new Set<string>(numbers);
  const february: Row[] = [];
  const march: Row[] = [];
  for (const line of lines) {
    const cells = line.split(",");
    const row = wanted.map((name): Value => {
      const cell = cells[at(name)]!;
      return cell === "" ? null : isNumber.has(name) ? Number(cell) : cell;
    });
    if (cells[month]!.startsWith("2013-02")) february.push(row);
    if (cells[month]!.startsWith("2013-03")) march.push(row);
  }
  const columns = wanted.map((name) => ({ name, type: isNumber.has(name) ? number : text }));
  return { name: file.slice(0, file.indexOf(".")), columns, february, march };
}

function profileOf({ columns }: Table, rows: readonly Row[]): ServiceProfile {
  const builder = serviceProfileBuilder(columns);
  for (const row of rows) builder.add((column) => row[column]!);
  return builder.finish();
}

function feed(quality: RowQuality, row: Row): void {
  quality.add((column) => row[column]!, 0);
}

/** March in its order, in windows of up to 3,000 rows, against all of February. */
function compareMonths(table: Table): void {
  const quality = rowQuality(table.columns, profileOf(table, table.february));
  const looks = new Map<string, number>();
  let all = 0;
  const largest = new Map<string, number>();
  for (const [index, row] of table.march.entries()) {
    feed(quality, row);
    if (index % 50 !== 49) continue;
    all++;
    for (const { name, drifted, verdict } of quality.columns) {
      if (drifted) looks.set(name, (looks.get(name) ?? 0) + 1);
      if (index >= 1_000) largest.set(name, Math.max(largest.get(name) ?? 0, verdict!.psi));
    }
  }
  console.log(`\n${table.name}: March (${table.march.length} rows) against February (${table.february.length})`);
  for (const { name, verdict } of quality.columns) {
    const share = ((looks.get(name) ?? 0) / all) * 100;
    console.log(
      `  ${name.padEnd(28)}last PSI ${verdict!.psi.toFixed(3)}, largest ${(largest.get(name) ?? 0).toFixed(3)}, drifted in ${share.toFixed(0)}% of looks`,
    );
  }
}

/** Delays in seconds, after rows in minutes; how many such rows it takes. From an empty window and from a full one. */
function reportUnitError(table: Table, trials: number): number {
  const profile = profileOf(table, table.february);
  const random = generator(11);
  let worst = 0;
  for (const before of [0, 3_000]) {
    const needed: number[] = [];
    for (let trial = 0; trial < trials; trial++) {
      const quality = rowQuality(table.columns, profile);
      for (let i = 0; i < before; i++) feed(quality, pick(table.february, random));
      const found = quality.columns[0]!;
      let events = 0;
      while (!found.drifted && events < 10_000) {
        const [delay, ...rest] = pick(table.february, random);
        feed(quality, [Number(delay) * 60, ...rest]);
        events++;
      }
      needed.push(events);
    }
    needed.sort((a, b) => a - b);
    worst = Math.max(worst, needed.at(-1)!);
    console.log(
      `\nunit error after ${before} right rows: found after ${needed[Math.floor(trials / 2)]} events (median), ${needed.at(-1)} at most, of ${trials} trials`,
    );
  }
  return worst;
}

/** A trial is an alarm if any column drifts in any look of its rows. */
function reportFalseAlarms(table: Table, trials: number, rows: number): number {
  const profile = profileOf(table, table.february);
  const random = generator(23);
  let alarms = 0;
  for (let trial = 0; trial < trials; trial++) {
    const quality = rowQuality(table.columns, profile);
    let isAlarm = false;
    for (let i = 0; i < rows; i++) {
      feed(quality, pick(table.february, random));
      isAlarm ||= i % 50 === 49 && quality.columns.some(({ drifted }) => drifted);
    }
    if (isAlarm) alarms++;
  }
  console.log(`${table.name}: ${alarms} false alarms in ${trials} trials of ${rows} rows of the same month`);
  return alarms;
}

/** Nanoseconds of one sampled row, looks included. */
function reportCost(table: Table): number {
  const quality = rowQuality(table.columns, profileOf(table, table.february));
  const rows = 500_000;
  const started = performance.now();
  for (let i = 0; i < rows; i++) feed(quality, table.february[i % table.february.length]!);
  const ns = ((performance.now() - started) * 1e6) / rows;
  console.log(
    `\ncost: ${ns.toFixed(0)} ns a sampled row of ${table.columns.length} columns; at most 50 rows a second are sampled`,
  );
  return ns;
}

function pick(rows: readonly Row[], random: () => number): Row {
  return rows[Math.floor(random() * rows.length)]!;
}

/** mulberry32 */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
