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
