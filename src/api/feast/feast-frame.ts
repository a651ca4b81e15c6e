import { apiError, invalidRequest } from "../api-errors.ts";
import { isObject } from "../request-body.ts";

/** A data frame as Feast sends it, by columns of equal length. */
export interface FeastFrame {
  readonly columns: ReadonlyMap<string, readonly unknown[]>;
  readonly rows: number;
}

/**
 * Reads columns by name: each a list, or an object of values by index, which is what pandas' `to_dict()` makes.
 * @throws `REQUEST_INVALID`, `TOO_MANY_ROWS`
 */
export function readFeastFrame(value: unknown, path: string, maxRows: number): FeastFrame {
  if (!isObject(value)) throw invalidRequest(path, "an object of columns by name");
  const columns = new Map<string, readonly unknown[]>();
  let rows = -1;
  for (const [name, column] of Object.entries(value)) {
    const values = Array.isArray(column) ? (column as unknown[]) : isObject(column) ? Object.values(column) : null;
    if (values === null) throw invalidRequest(`${path}.${name}`, "a list of values");
    if (rows >= 0 && values.length !== rows)
      throw invalidRequest(`${path}.${name}`, `as long as the other columns (${rows}); it has ${values.length} values`);
    rows = values.length;
    columns.set(name, values);
  }
  if (rows < 0) throw invalidRequest(path, "at least one column");
  if (rows > maxRows) {
    throw apiError("TOO_MANY_ROWS", `${path} has ${rows} rows, at most ${maxRows} may come at once: split them.`, {
      details: { path, rows, max_rows: maxRows },
    });
  }
  return { columns, rows };
}
