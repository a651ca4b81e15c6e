import type { ServiceRuntime } from "../feature_store/service-runtime.ts";
import { apiError } from "./api-errors.ts";

/** `features`: rows come whole, with the columns that the model reads. `keys`: the service looks them up. */
export type RowForm = "features" | "keys";

export const ROW_FORMS: readonly RowForm[] = ["features", "keys"];

/**
 * Which form rows with these columns have. What the caller asks for counts; else rows with all columns that the model
 * reads come whole, and rows with all that the service looks up (request columns that may be null are optional) are
 * looked up. Rows that could be both are whole if that is the same: if no column is made from a request column of its
 * own name.
 * @throws `ROWS_INCOMPLETE`, `ROWS_AMBIGUOUS`
 */
export function rowForm(runtime: ServiceRuntime, given: ReadonlySet<string>, asked: RowForm | null): RowForm {
  const { service, row } = runtime;
  const unread = row.columns.filter(({ name }) => !given.has(name)).map(({ name }) => name);
  const unlooked = service.lookup
    .filter(({ name, role, type }) => !given.has(name) && !(role === "request" && type.nullable))
    .map(({ name }) => name);
  if (asked === "features" && unread.length === 0) return asked;
  if (asked === "keys" && unlooked.length === 0) return asked;
  if (asked === null) {
    if (unread.length > 0 && unlooked.length === 0) return "keys";
    if (unread.length === 0 && (unlooked.length > 0 || !isRemade(runtime))) return "features";
    if (unread.length === 0) {
      throw apiError(
        "ROWS_AMBIGUOUS",
        `The rows may be what the model reads or what service '${service.name}' makes that from, and these differ: say which with the parameter rows, "features" or "keys".`,
        { details: { service: service.name } },
      );
    }
  }
  const features = `what the model reads (${list(unread)} missing)`;
  const keys = `what service '${service.name}' looks up (${list(unlooked)} missing)`;
  const what = asked === "features" ? features : asked === "keys" ? keys : `either ${features} or ${keys}`;
  throw apiError("ROWS_INCOMPLETE", `The rows need all columns of ${what}. Given were: ${list([...given])}.`, {
    details: {
      ...(asked === "keys" ? {} : { missing_features: unread.slice(0, 50) }),
      ...(asked === "features" ? {} : { missing_keys: unlooked.slice(0, 50) }),
    },
  });
}

/** A column has the name of a request column and is not that column as it is. */
function isRemade({ service, row }: ServiceRuntime): boolean {
  return service.lookup.some(({ name }) => {
    if (!row.columns.some((column) => column.name === name)) return false;
    const expression = service.features.find((feature) => feature.name === name)?.expression;
    return !(expression?.op === "request" && expression.column === name);
  });
}

function list(names: readonly string[]): string {
  if (names.length === 0) return "none";
  return `${names.slice(0, 20).join(", ")}${names.length > 20 ? ` and ${names.length - 20} more` : ""}`;
}
