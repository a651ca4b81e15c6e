import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { isMillraceError } from "../../definitions/errors.ts";
import { duckdbFrameFiles } from "../../feature_store/offline/duckdb-frame-files.ts";
import { apiError } from "../api-errors.ts";
import type { GivenRows } from "./given-rows.ts";

/**
 * Rows of Parquet. Its directory is at its end, so the body goes to a file in `folder` first.
 * @throws `BODY_MALFORMED`
 */
export async function* parquetRows(body: AsyncIterable<Buffer>, folder: string): AsyncGenerator<GivenRows> {
  const path = join(folder, "rows.parquet");
  await pipeline(body, createWriteStream(path));
  const files = await duckdbFrameFiles(folder);
  try {
    const reader = await files.open(path);
    const names = reader.columns.map(({ name }) => name);
    for await (const { count, columns } of reader.read(0)) {
      yield { kind: "table", names, count, cell: (row, column) => columns[column]![row], failure: () => null };
    }
    await reader.close();
  } catch (error) {
    if (!isMillraceError(error) || error.code !== "FILE_CORRUPT") throw error;
    throw apiError("BODY_MALFORMED", "The body cannot be read as Parquet: send the whole file, as it was written.", {
      cause: error,
    });
  } finally {
    await files.close();
  }
}
