import { modelError } from "./model-errors.ts";

const BLOCK_ROWS = 64;
/** Keys of one block; 32,768 of four bytes stay in a core's second-level cache beside the trees. */
const BLOCK_KEYS = 32_768;

/** How many rows go through the trees together; a multiple of four. */
export function rowsOfBlock(keysPerRow: number): number {
  return Math.max(4, Math.min(BLOCK_ROWS, Math.floor(BLOCK_KEYS / keysPerRow) & ~3));
}

/** @throws `SIGNATURE_MISMATCH` */
export function checkRowWidth(width: number, featureCount: number): void {
  if (width === featureCount) return;
  throw modelError("SIGNATURE_MISMATCH", `The model takes ${featureCount} features, a row with ${width} was given.`, {
    details: { expected: featureCount, actual: width },
  });
}

/**
 * Checks that a matrix of `values` values is `rows` rows of `cols` = `featureCount`.
 * @throws `SIGNATURE_MISMATCH`
 */
export function checkMatrix(values: number, rows: number, cols: number, featureCount: number): void {
  checkRowWidth(cols, featureCount);
  if (values === rows * cols) return;
  throw modelError(
    "SIGNATURE_MISMATCH",
    `A matrix of ${rows} rows of ${cols} needs ${rows * cols} values, not ${values}.`,
  );
}
