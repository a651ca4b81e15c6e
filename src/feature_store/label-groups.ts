import type { Value } from "../definitions/value.ts";

/** The rows of a frame, in columns. */
export interface LabelFrame {
  readonly count: number;
  /** Per lookup column, in the order of `service.lookup`, one value per row. */
  readonly lookup: readonly (readonly Value[])[];
  /** t of each row, epoch milliseconds. */
  readonly times: Float64Array;
}

/** A frame's rows by entity: label `i` is row `rows[i]` at `times[i]`, labels of one entity by time. */
export interface LabelGroups {
  readonly keys: readonly (readonly Value[])[];
  /** The labels of entity `e` are those from `starts[e]` to before `starts[e + 1]`. */
  readonly starts: Int32Array;
  readonly rows: Int32Array;
  readonly times: Float64Array;
  /** Rows whose key has a null: of no entity. */
  readonly orphans: readonly number[];
}

/** Groups the rows of a frame by the key that these lookup columns hold. */
export function groupLabels(frame: LabelFrame, keyIndexes: readonly number[]): LabelGroups {
  const columns = keyIndexes.map((index) => frame.lookup[index]!);
  const entityOf = new Int32Array(frame.count);
  const keys: Value[][] = [];
  const sizes: number[] = [];
  const orphans: number[] = [];
  const known = new Map<Value, number>();
  const single = columns.length === 1 ? columns[0]! : null;
  for (let row = 0; row < frame.count; row++) {
    const id = single === null ? compositeId(columns, row) : single[row]!;
    if (id === null) {
      entityOf[row] = -1;
      orphans.push(row);
      continue;
    }
    let entity = known.get(id);
    if (entity === undefined) {
      entity = keys.length;
      known.set(id, entity);
      keys.push(columns.map((column) => column[row]!));
      sizes.push(0);
    }
    entityOf[row] = entity;
    sizes[entity]!++;
  }
  const starts = new Int32Array(keys.length + 1);
  for (let entity = 0; entity < keys.length; entity++) starts[entity + 1] = starts[entity]! + sizes[entity]!;
  const next = starts.slice(0, keys.length);
  const rows = new Int32Array(starts[keys.length]!);
  for (let row = 0; row < frame.count; row++) {
    const entity = entityOf[row]!;
    if (entity >= 0) rows[next[entity]!++] = row;
  }
  for (let entity = 0; entity < keys.length; entity++) {
    sortByTime(rows, frame.times, starts[entity]!, starts[entity + 1]!);
  }
  const times = new Float64Array(rows.length);
  for (let label = 0; label < rows.length; label++) times[label] = frame.times[rows[label]!]!;
  return { keys, starts, rows, times, orphans };
}

/** Most entities have few rows: they are sorted in place. */
function sortByTime(rows: Int32Array, times: Float64Array, from: number, to: number): void {
  if (to - from > 64) {
    rows.subarray(from, to).sort((a, b) => times[a]! - times[b]!);
    return;
  }
  for (let i = from + 1; i < to; i++) {
    const row = rows[i]!;
    const time = times[row]!;
    let at = i;
    for (; at > from && times[rows[at - 1]!]! > time; at--) rows[at] = rows[at - 1]!;
    rows[at] = row;
  }
}

/** Equal for equal keys alone; null if a part is null. */
function compositeId(columns: readonly (readonly Value[])[], row: number): string | null {
  let id = "";
  for (const column of columns) {
    const value = column[row]!;
    if (value === null) return null;
    const text = String(value);
    id += `${text.length}:${text}`;
  }
  return id;
}
