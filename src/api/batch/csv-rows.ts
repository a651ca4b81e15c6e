import { apiError } from "../api-errors.ts";
import { csvLineStream } from "../csv-lines.ts";
import type { GivenRows } from "./given-rows.ts";

/** Rows of CSV whose first line names the columns. @throws `BODY_MALFORMED`, `BODY_TOO_LARGE` */
export async function* csvRows(body: AsyncIterable<Buffer>, rowBytes: number): AsyncGenerator<GivenRows> {
  let names: readonly string[] | null = null;
  for await (const given of csvLineStream(body, rowBytes)) {
    let lines = given;
    if (names === null) {
      names = lines[0]!;
      lines = lines.slice(1);
    }
    const width = names.length;
    if (lines.length === 0) continue;
    yield {
      kind: "table",
      names,
      count: lines.length,
      cell: (row, column) => lines[row]![column],
      failure: (row) =>
        lines[row]!.length === width
          ? null
          : { code: "BODY_MALFORMED", detail: `The line has ${lines[row]!.length} values for ${width} columns.` },
    };
  }
  if (names === null) throw apiError("BODY_MALFORMED", "The body has no line: the first names the columns.");
}
