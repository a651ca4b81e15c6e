/** A counter's or gauge's value, added to or set in place: a hot path holds the cell, not the metric. */
export interface NumberCell {
  value: number;
}

export function createNumberCell(): NumberCell {
  return { value: 0 };
}
