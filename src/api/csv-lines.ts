import { apiError } from "./api-errors.ts";

/** The lines of CSV as lists of texts. @throws `BODY_MALFORMED` */
export async function csvLines(text: string): Promise<readonly (readonly string[])[]> {
  const { parse } = await import("csv-parse/sync");
  try {
    return parse(text, { bom: true, skip_empty_lines: true });
  } catch (cause) {
    throw apiError("BODY_MALFORMED", `The body is not CSV: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
}

/** The lines of CSV, as many as each piece of the body ends. @throws `BODY_MALFORMED`, `BODY_TOO_LARGE` */
export async function* csvLineStream(
  body: AsyncIterable<Buffer>,
  maxLineBytes: number,
): AsyncGenerator<readonly (readonly string[])[]> {
  const { parse } = await import("csv-parse");
  const parser = parse({
    bom: true,
    skip_empty_lines: true,
    // A line of another length is one bad row, not the end of all.
    relax_column_count: true,
    max_record_size: maxLineBytes,
  });
  let failure: Error | null = null;
  parser.on("error", (error) => {
    failure = error;
  });
  const taken = (): (readonly string[])[] => {
    const lines: (readonly string[])[] = [];
    for (let line: string[] | null = parser.read(); line !== null; line = parser.read()) lines.push(line);
    if (failure !== null) throw unreadable(failure);
    return lines;
  };
  for await (const piece of body) {
    parser.write(piece);
    const lines = taken();
    if (lines.length > 0) yield lines;
  }
  const ended = new Promise((resolve) => parser.once("end", resolve).once("error", resolve));
  parser.end();
  const lines = taken();
  parser.resume();
  await ended;
  if (failure !== null) throw unreadable(failure);
  if (lines.length > 0) yield lines;
}

function unreadable(cause: Error): Error {
  if ("code" in cause && cause.code === "CSV_MAX_RECORD_SIZE") {
    return apiError(
      "BODY_TOO_LARGE",
      `A line of the CSV is too long (${cause.message}): see that no quote is left open; the limit of batches is server.batch.rowBytes (MILLRACE_BATCH_ROW_BYTES).`,
      { cause },
    );
  }
  return apiError("BODY_MALFORMED", `The body is not CSV: ${cause.message}`, { cause });
}
