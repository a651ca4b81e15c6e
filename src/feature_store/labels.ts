import { type MillraceError, millraceError } from "../definitions/errors.ts";
import type { LabelMeta } from "../definitions/expression.ts";
import type { Value } from "../definitions/value.ts";

/**
 * The labels of a training frame's row, in the declared order; one that is missing or not finite is null and teaches
 * nothing. A bool may come as 0 and 1, and whole numbers as digits, as frames write those of 64 bits.
 *
 * @throws `LABEL_INVALID` if one is not of its type, naming the row.
 */
export function readLabels(
  labels: readonly LabelMeta[],
  row: Readonly<Record<string, unknown>>,
  index: number,
): readonly Value[] {
  return labels.map((label) => {
    const value = row[label.name];
    const read = value === null || value === undefined ? null : readLabel(label, value);
    if (read === undefined) throw labelInvalid(label, index);
    return read;
  });
}

/** @throws `LABEL_MISSING` if a frame of at least one row has no value of a label. */
export function checkLabels(
  service: string,
  labels: readonly LabelMeta[],
  rows: readonly (readonly Value[] | undefined)[],
): void {
  if (rows.length === 0) return;
  for (const [index, label] of labels.entries()) {
    if (rows.some((row) => (row?.[index] ?? null) !== null)) continue;
    throw labelMissing(service, label);
  }
}

/** The error for a frame without any value of a label. */
export function labelMissing(service: string, label: LabelMeta): MillraceError {
  return millraceError(
    "LABEL_MISSING",
    `Service '${service}' learns from the label '${label.name}', of which the rows hold no value: add a column '${label.name}' to the training frame, or give the fitted state of a model instead.`,
    { details: { service, label: label.name } },
  );
}

function readLabel({ type }: LabelMeta, given: unknown): Value | undefined {
  if (type.kind === "one_of") return typeof given === "string" && type.values!.includes(given) ? given : undefined;
  const value = typeof given === "string" && /^-?\d{1,19}$/.test(given) ? BigInt(given) : given;
  if (type.kind === "bool") {
    if (typeof value === "boolean") return value;
    return value === 0 || value === 0n ? false : value === 1 || value === 1n ? true : undefined;
  }
  if (typeof value !== "number" && typeof value !== "bigint") return undefined;
  const number = Number(value) + 0;
  if (!Number.isFinite(number)) return null;
  if (type.kind === "float64") return number;
  if (!Number.isInteger(number)) return undefined;
  return type.kind === "int64" ? BigInt(value) : number;
}

function labelInvalid({ name, type }: LabelMeta, row: number): MillraceError {
  const wanted = type.kind === "one_of" ? `one of ${type.values!.join(", ")}` : `a ${type.kind}`;
  return millraceError(
    "LABEL_INVALID",
    `Row ${row}: the label '${name}' must be ${wanted}. Correct the training frame, or leave the label empty where it is not known.`,
    { details: { row, label: name } },
  );
}
