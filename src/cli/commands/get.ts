import { readFile } from "node:fs/promises";
import { millraceError } from "../../definitions/errors.ts";
import { connect } from "../connect.ts";
import { configOf, type GlobalOptions, print, table } from "../global-options.ts";
import { keyValues } from "../key-values.ts";

interface GetOptions extends GlobalOptions {
  readonly rows?: string;
  readonly asOf?: string;
  readonly exact?: boolean;
  readonly model?: string;
}
interface Answer {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly unknown[])[];
  readonly statuses: readonly (readonly string[])[];
  readonly head_overlap?: readonly boolean[];
}
interface LookupColumn {
  readonly name: string;
  readonly type: string;
}

/** Prints the online features of rows. */
export async function get(service: string, pairs: readonly string[], options: GetOptions): Promise<void> {
  const config = await configOf(options);
  await using connection = await connect(config);
  const { lookup } = await connection.ask<{ lookup: readonly LookupColumn[] }>(
    "GET",
    `/v1/features/services/${encodeURIComponent(service)}`,
  );
  const rows = options.rows === undefined ? [parsePairs(pairs, lookup)] : await readRows(options.rows);
  const answer = await connection.ask<Answer>("POST", "/v1/features/online", {
    service,
    rows,
    ...(options.asOf === undefined ? {} : { as_of: options.asOf }),
    ...(options.exact === true ? { exact: true } : {}),
    ...(options.model === undefined ? {} : { model: options.model }),
  });
  for (const [row, overlaps] of (answer.head_overlap ?? []).entries()) {
    if (!overlaps) continue;
    process.stderr.write(
      `Row ${row}: an event at or after that moment was applied, so its values may hold more than they should (--exact refuses such rows).\n`,
    );
  }
  print(options, answer, () =>
    answer.rows
      .map((row, i) =>
        table(
          row.map((value, c) => [
            answer.columns[c]!,
            value === null ? "null" : String(value),
            answer.statuses[i]?.[c] ?? "",
          ]),
        ),
      )
      .join("\n\n"),
  );
}

function parsePairs(pairs: readonly string[], lookup: readonly LookupColumn[]): Record<string, unknown> {
  return Object.fromEntries(
    [...keyValues(pairs)].map(([name, text]) => {
      const type = lookup.find((column) => column.name === name)?.type;
      if (text === "null") return [name, null];
      if (type === "float64" || type === "int32") return [name, Number(text)];
      if (type === "bool") return [name, text === "true" ? true : text === "false" ? false : text];
      return [name, text];
    }),
  );
}

async function readRows(file: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as unknown;
  } catch (error) {
    throw millraceError(
      "FILE_UNREADABLE",
      `--rows ${file} must be a JSON file with a list of lookups: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}
