import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DuckDBInstance } from "@duckdb/node-api";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { csv, entity, featureView, latest, parquet, t, tableSource } from "../../../src/definitions/index.ts";
import { Meta } from "../../../src/definitions/meta.ts";
import type { TableFilesConnector } from "../../../src/definitions/table-files.ts";
import type { Value } from "../../../src/definitions/value.ts";
import { readViewHistory } from "../../../src/feature_store/historical-reader.ts";
import { memoryOfflineStore } from "../../../src/feature_store/offline/memory-offline-store.ts";
import { memoryOnlineStore } from "../../../src/feature_store/online/memory-online-store.ts";
import { createViewRuntime } from "../../../src/feature_store/view-runtime.ts";
import { createPipeline } from "../../../src/pipeline/pipeline.ts";

const schema = {
  shop: t.string(),
  region: t.string(),
  price: t.float64().nullable(),
  stock: t.int64().nullable(),
  open: t.bool().nullable(),
  note: t.string().nullable(),
  at: t.timestamp(),
};
const ROWS = `(VALUES ('a', 1.5, 9007199254740993, true, TIMESTAMP '2026-01-01 00:00:00.123456'),
  ('a', NULL, NULL, NULL, TIMESTAMP '2026-01-02 00:00:00'), ('007', -0.1, -5, false, TIMESTAMP '1969-12-31 23:59:59.9995'))
  v(shop, price, stock, open, "at")`;

describe("history in files", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "millrace-files-"));
    const instance = await DuckDBInstance.create(":memory:");
    const connection = await instance.connect();
    for (const region of ["north", "south"]) {
      const home = join(folder, `region=${region}`);
      await mkdir(home);
      await connection.run(`COPY (SELECT * FROM ${ROWS}) TO '${join(home, "prices.parquet")}' (FORMAT parquet)`);
      const texts = `SELECT shop, price, stock, open, strftime("at", '%Y-%m-%dT%H:%M:%S.%gZ') AS "at" FROM ${ROWS}`;
      await connection.run(`COPY (${texts}) TO '${join(home, "prices.csv")}' (FORMAT csv, HEADER, NULLSTR 'NA')`);
    }
    connection.closeSync();
    instance.closeSync();
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const view = (connector: TableFilesConnector, columns: object = schema) => {
    const source = tableSource("prices", { table: connector, schema: columns as typeof schema, eventTime: "at" });
    const place = entity("place", { shop: t.string(), region: t.string() });
    const features = { price: latest(source.price), stock: latest(source.stock), open: latest(source.open) };
    return { source: source[Meta], view: featureView("price", { source, entity: place, features })[Meta] };
  };
  const load = async (connector: TableFilesConnector, columns?: object) => {
    const declared = view(connector, columns);
    const failures: unknown[] = [];
    const offline = memoryOfflineStore();
    const pipeline = createPipeline({
      sources: [declared.source],
      views: [declared.view],
      online: memoryOnlineStore(),
      offline,
      filesFolder: join(folder, "cache"),
      onFailure: (_source, error) => failures.push(error),
    });
    await pipeline.recover();
    await pipeline.start();
    await pipeline.finished().catch(() => {});
    await pipeline.close();
    const letters = await offline.deadLetters({ limit: 10 });
    const read = async (keys: Value[][], time: number) =>
      (await readViewHistory(offline, createViewRuntime(declared.view), keys, time)).map(({ values }) => values);
    return { failures, letters, read };
  };
  const at = Date.UTC(2026, 0, 1, 12);

  it.each([
    ["Parquet", () => parquet(join(folder, "**/*.parquet"))],
    ["CSV", () => csv([join(folder, "region=north/*.csv"), join(folder, "region=south/*.csv")], { nullTexts: ["NA"] })],
  ])("reads %s with its nulls, every digit, and the columns in the folders' names", async (_what, connector) => {
    const { failures, letters, read } = await load(connector());
    expect([failures, letters]).toEqual([[], []]);
    const keys = [
      ["a", "north"],
      ["007", "south"],
      ["a", "east"],
    ];
    expect(await read(keys, at)).toEqual([
      [1.5, 9007199254740993n, true],
      [-0.1, -5n, false],
      [null, null, null],
    ]);
    expect(await read(keys.slice(0, 1), at + 86_400_000)).toEqual([[null, null, null]]);
    // Floored, also before 1970.
    expect(await read([["007", "south"]], -1)).toEqual([[null, null, null]]);
    expect(await read([["007", "south"]], 0)).toEqual([[-0.1, -5n, false]]);
  });

  it("says which column does not fit the declaration", async () => {
    const missing = await load(parquet(join(folder, "**/*.parquet")), { ...schema, size: t.float64() });
    expect(missing.failures).toMatchObject([{ code: "FILE_COLUMN_MISSING", details: { column: "size" } }]);
    const wrong = await load(parquet(join(folder, "**/*.parquet")), { ...schema, open: t.float64().nullable() });
    expect(wrong.failures).toMatchObject([{ code: "FILE_COLUMN_TYPE", details: { column: "open" } }]);
  });

  it("says which files are not there, or no files of this format", async () => {
    expect((await load(parquet(join(folder, "none/*.parquet")))).failures).toMatchObject([{ code: "FILE_NOT_FOUND" }]);
    await writeFile(join(folder, "bad.parquet"), "no Parquet");
    expect((await load(parquet(join(folder, "bad.parquet")))).failures).toMatchObject([{ code: "FILE_CORRUPT" }]);
  });

  it("refuses paths that are none", () => {
    for (const path of ["", "s3://bucket", "s3:///key", []]) {
      expect(() => parquet(path)).toThrow(expect.objectContaining({ code: "DEFINITION_INVALID" }));
    }
  });
});
