import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { FeatureServiceMeta } from "../../src/definitions/feature-service.ts";
import {
  count,
  csv,
  entity,
  featureService,
  featureView,
  kafka,
  latest,
  streamSource,
  t,
  tableSource,
} from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";
import { duckdbFrameFiles } from "../../src/feature_store/offline/duckdb-frame-files.ts";
import { beamFitHistory } from "../../src/pipeline/beam-fit-history.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-fit-history-"));
  const day = join(folder, "lake", "payments", "day=2026-03-01");
  await mkdir(day, { recursive: true });
  const files = await duckdbFrameFiles(folder);
  await files.writeParquet(
    join(day, "g1-0.parquet"),
    [
      { name: "card_id", type: { kind: "string", nullable: false } },
      { name: "at", type: { kind: "timestamp", nullable: false } },
    ],
    [{ count: 1, columns: [["a"], Float64Array.of(1_772_323_200_000)] }],
  );
  await files.close();
  await writeFile(join(folder, "cards.csv"), "card_id,level,at\na,gold,2026-03-01T00:00:00Z\n");
  await writeFile(join(folder, "day=1.jsonl"), '{"card_id":"a","at":"2026-03-01T00:00:00Z"}\n');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function serviceOf(withCards: boolean): FeatureServiceMeta {
  const card = entity("card", { card_id: t.string() });
  const payments = streamSource("payments", {
    stream: kafka({ topic: "payments" }),
    eventTime: "at",
    lateness: "1m",
    schema: { card_id: t.string(), at: t.timestamp() },
  });
  const cards = tableSource("cards", {
    table: csv(join(folder, "cards.csv")),
    eventTime: "at",
    schema: { card_id: t.string(), level: t.string(), at: t.timestamp() },
  });
  const paying = featureView("paying", { source: payments, entity: card, features: { n: count().over("1h") } });
  const facts = featureView("facts", { source: cards, entity: card, features: { level: latest(cards.level) } });
  if (!withCards) return featureService("risk", { features: { n: paying.n } })[Meta];
  return featureService("risk", { features: { n: paying.n, level: facts.level } })[Meta];
}

it("takes the files that a source names, and the raw events that jobs keep as Parquet for the others", async () => {
  const history = await beamFitHistory(serviceOf(true), [], { parquet: join(folder, "lake"), cache: folder });
  const found = Object.fromEntries([...history].map(([source, { input, cells }]) => [source, [input.files, cells]]));
  expect(found.payments).toMatchObject([[{ format: "parquet" }], "json"]);
  expect(found.cards).toMatchObject([[{ format: "csv", path: join(folder, "cards.csv") }], "text"]);
});

it("takes files by their source's name, and a path with an equals sign where there is one source", async () => {
  const named = await beamFitHistory(serviceOf(true), [`payments=${folder}/day=1.jsonl`], { cache: folder });
  expect(named.get("payments")!.input.files).toMatchObject([{ format: "jsonl", path: join(folder, "day=1.jsonl") }]);
  const only = await beamFitHistory(serviceOf(false), [`${folder}/day=1.jsonl`], {
    parquet: join(folder, "lake"),
    cache: folder,
  });
  expect(only.get("payments")!.input.files).toMatchObject([{ format: "jsonl" }]);
});

it("names the view that has no history", async () => {
  await expect(beamFitHistory(serviceOf(true), [], { cache: folder })).rejects.toMatchObject({
    code: "BEAM_HISTORY_MISSING",
    message: expect.stringContaining("paying of source 'payments'"),
  });
  await expect(beamFitHistory(serviceOf(true), [`${folder}/day=1.jsonl`], { cache: folder })).rejects.toMatchObject({
    code: "OPTION_INVALID",
  });
});
