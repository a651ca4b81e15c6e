import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { loadDeclarations } from "../src/config/load-declarations.ts";
import type { SourceMeta } from "../src/definitions/source.ts";
import type { Value } from "../src/definitions/value.ts";
import { createMessageLogger } from "../src/feature_engineering/engine/message-logger.ts";
import type { OfflineStore } from "../src/feature_store/offline/offline-store.ts";
import { postgresOfflineStore } from "../src/feature_store/offline/postgres-offline-store.ts";
import { compileMessageDecoder } from "../src/ingestion/decoders/message-decoder.ts";
import { sourceTable } from "../src/pipeline/source-pipeline.ts";
import { createProject, INDEX, type Project } from "../test/cli/project.ts";
import { fittedFlights } from "./beam/fitted-flights.ts";
import { startPostgres } from "./services/postgres-server.ts";

const FEATURES = `
import { CategoricalTransform, count, csv, derive, entity, featureService, featureView, fileReplay, label, latest, mean, NumericTransform, requestSource, stddev, streamSource, t, tableSource } from ${JSON.stringify(INDEX)};
export const card = entity("card", { card_id: t.int64() });
const path = (name: string): string => new URL(name, import.meta.url).pathname;
export const payments = streamSource("payments", {
  stream: fileReplay({ path: path("payments.jsonl") }), clock: "stream", eventTime: "at", lateness: "1m",
  id: "id", version: "revision", ingestedAt: "arrived",
  schema: {
    id: t.string(), card_id: t.int64().nullable(), amount: t.float64(), shop: t.string(), revision: t.int32(),
    at: t.timestamp(), arrived: t.timestamp(),
  },
});
export const cards = tableSource("cards", {
  table: csv(path("cards.csv")), clock: "stream", eventTime: "updated_at",
  schema: { card_id: t.int64(), level: t.string(), updated_at: t.timestamp() },
});
export const activity = featureView("activity", {
  source: payments, entity: card,
  features: {
    n: count().over(["1m", "1h"]), mean: mean(payments.amount).over("1h"), spread: stddev(payments.amount).over("24h"),
    shop: latest(payments.shop).ttl("1h"), last: latest(payments.amount),
  },
});
export const facts = featureView("facts", { source: cards, entity: card, features: { level: latest(cards.level) } });
const won = label("won", t.bool());
const request = requestSource({ hour: t.int32() });
const other = activity.as({ card_id: "other_id" });
export const risk = featureService("risk", {
  features: {
    n: activity.n_1m, often: NumericTransform.of(activity.n_1h).quantile({ quantiles: 20 }),
    mean: NumericTransform.of(activity.mean).impute("median").standardize(),
    spread: NumericTransform.of(activity.spread).robust(), last: NumericTransform.of(other.last).power(),
    shop: CategoricalTransform.of(activity.shop).target(won, { folds: 3, nulls: "category" }),
    level: CategoricalTransform.of(facts.level).ordinal(),
    hour: NumericTransform.of(request.hour).kBins(4),
    share: NumericTransform.of(derive({ a: activity.mean, b: other.mean }, t.float64().nullable(), ({ a, b }) =>
      a === null || b === null ? null : a / (a + b + 1))).minMax(),
  },
});
`;
const START = Date.parse("2026-03-01T00:00:00Z");
const time = (ms: number): string => new Date(START + ms).toISOString();

/** Payments that are late, repeated, corrected and in conflict, a bad line, and one of nobody. */
function payments(): string {
  const lines: string[] = [];
  for (let i = 0; i < 900; i++) {
    const at = ((i * 7_919) % 86_400) * 1_000;
    const line = {
      ...{ id: `p${i}`, card_id: i % 97 === 0 ? null : i % 13, amount: (i % 40) + 0.25 },
      ...{ shop: `shop ${(i * i) % 7}`, revision: i % 3, at: time(at), arrived: time(at + (i % 5) * 60_000) },
    };
    lines.push(JSON.stringify(line));
    if (i % 50 === 0) lines.push(JSON.stringify(line));
    if (i % 90 === 0) lines.push(JSON.stringify({ ...line, amount: 1_000 }));
    if (i % 60 === 0) lines.push(JSON.stringify({ ...line, id: `c${i}`, revision: 9, amount: 2 }));
  }
  return `${[...lines, '{"id":'].join("\n")}\n`;
}

function labels(): string {
  const rows = Array.from({ length: 400 }, (_, i) => {
    const cells = [i % 31 === 0 ? "" : i % 14, i % 8, i % 24, time(((i * 3_571) % 90_000) * 1_000), i % 3 === 0];
    return cells.join(",");
  });
  return `card_id,other_id,hour,event_timestamp,won\n${rows.join("\n")}\n`;
}

const card = (i: number): readonly [number, string, string] => [i % 10, "abc"[i % 3]!, time(i * 3_600_000)];
const CARDS = `card_id,level,updated_at\n${Array.from({ length: 30 }, (_, i) => card(i).join(",")).join("\n")}\n`;

function cards(): string[] {
  return Array.from({ length: 30 }, (_, i) => {
    const [card_id, level, updated_at] = card(i);
    return JSON.stringify({ card_id, level, updated_at });
  });
}

async function projectOf(): Promise<Project> {
  return createProject({
    "features.ts": FEATURES,
    "payments.jsonl": payments(),
    "cards.csv": CARDS,
    "labels.csv": labels(),
  });
}

it("writes the manifest of the embedded training set, byte for byte, by what had happened and by what had arrived", async () => {
  await using project = await projectOf();
  const run = async (...args: string[]): Promise<string> => {
    const done = await project.run(args);
    expect(done.code, done.stderr).toBe(0);
    return done.stdout;
  };
  await run("replay");
  // Elsewhere, in two files.
  const lines = (await readFile(join(project.folder, "payments.jsonl"), "utf8")).split("\n");
  await project.write("export/a.jsonl", lines.slice(0, 400).join("\n"));
  await project.write("export/b.jsonl", lines.slice(400).join("\n"));
  for (const [knowledge, files] of [
    ["event_time", ["--files", "payments=export/*.jsonl"]],
    ["ingested_at", []],
  ] as const) {
    const args = ["--knowledge", knowledge];
    await project.write(`${knowledge}/README.md`, "");
    await run("training-set", "risk", "--entities", "labels.csv", "--out", `${knowledge}/train.parquet`, ...args);
    const told = await run(
      ...["--json", "beam", "fit", "risk", "--labels", "labels.csv", "--out", `fit-${knowledge}/`, ...args, ...files],
      ...["--", "--parallelism=2"],
    );
    expect(JSON.parse(told)).toMatchObject({ transforms: 9, rows: 400 });
    const [embedded, fitted] = await Promise.all(
      [`${knowledge}/millrace.json`, `fit-${knowledge}/millrace.json`].map((file) =>
        readFile(join(project.folder, file), "utf8"),
      ),
    );
    expect(fitted).toBe(embedded);
  }
}, 300_000);

it("reads history that only PostgreSQL has, with its arrivals and erasures, to the manifest of the embedded training set", async () => {
  const postgres = await startPostgres();
  try {
    await using project = await createProject({
      "features.ts": FEATURES.replace(
        /stream: fileReplay[^)]*\) \}\), clock: "stream",/,
        'stream: kafka({ topic: "payments" }),',
      )
        .replace('ingestedAt: "arrived",', "")
        .replace("fileReplay,", "fileReplay, kafka,"),
      "cards.csv": CARDS,
      "labels.csv": labels(),
    });
    const url = await postgres.createDatabase();
    // No broker is asked.
    const env = { MILLRACE_POSTGRES_URL: url, MILLRACE_KAFKA_BROKERS: "127.0.0.1:1" };
    const { sources, views } = await loadDeclarations([join(project.folder, "features.ts")]);
    const store = await postgresOfflineStore({ url: env.MILLRACE_POSTGRES_URL });
    try {
      for (const source of sources) {
        const own = views.filter((view) => view.source.name === source.name);
        await store.prepareSource(sourceTable(source, own));
        await commitRecords(store, source, source.name === "cards" ? cards() : payments().split("\n"));
      }
      const { name, keys } = views[0]!.entity;
      const role = { source: "payments", keyColumns: ["card_id"], nulledColumns: ["card_id"] };
      await store.erase({
        entity: name,
        key: [5n],
        keyTypes: keys.map(({ type }) => type),
        at: START + 1e9,
        roles: [role],
      });
    } finally {
      await store.close();
    }
    const run = async (...args: string[]): Promise<void> => {
      const done = await project.run(args, env);
      expect(done.code, done.stderr).toBe(0);
    };
    const args = ["--knowledge", "ingested_at"];
    await project.write("whole/README.md", "");
    await run("training-set", "risk", "--entities", "labels.csv", "--out", "whole/train.parquet", ...args);
    await run("beam", "fit", "risk", "--labels", "labels.csv", "--out", "fit/", ...args);
    const [embedded, fitted] = await Promise.all(
      ["whole", "fit"].map((name) => readFile(join(project.folder, name, "millrace.json"), "utf8")),
    );
    expect(fitted).toBe(embedded);
  } finally {
    await postgres.remove();
  }
}, 300_000);

/** In two partitions, most of them late; lines that are cut off are left out. */
async function commitRecords(store: OfflineStore, source: SourceMeta, lines: readonly string[]): Promise<void> {
  const toLogged = createMessageLogger(source);
  const { decodeValue } = compileMessageDecoder(source.columns, { eventTime: source.eventTime });
  const time = source.columns.findIndex(({ name }) => name === source.eventTime);
  for (const part of [0, 1]) {
    const partition = await store.own(source.name, `${source.name}:${part}`);
    const events = lines.flatMap((line, offset) => {
      if (offset % 2 !== part || !line.endsWith("}")) return [];
      const payload = decodeValue(line) as readonly Value[];
      const eventTime = payload[time] as number;
      const message = {
        ...{ source: source.name, partition: partition.partition, offset, key: null, headers: {} },
        ...{ payload, eventTime, ingestedAt: eventTime + (offset % 7) * 900_000 },
      };
      return [toLogged(message, partition.partitionId)];
    });
    await store.commit({ partition, events, deadLetters: [], lastOffset: lines.length });
  }
}

it("learns every kind of transform of real flights as the embedded training set does, and says where an entity has too much", async () => {
  const flights = await fittedFlights();
  try {
    const { manifest } = await flights.beam("flight_fits", { parallelism: 2 });
    expect(JSON.stringify(manifest)).toBe(JSON.stringify(await flights.embedded("flight_fits")));
    expect(new Set(Object.values(manifest.transforms).map(({ kind }) => kind)).size).toBe(12);
    await expect(flights.beam("flight_delay_v1", { mostBytes: 20_000 })).rejects.toMatchObject({
      code: "BEAM_FIT_TOO_LARGE",
      message: expect.stringContaining("An entity of view '"),
    });
  } finally {
    await flights.close();
  }
}, 300_000);
