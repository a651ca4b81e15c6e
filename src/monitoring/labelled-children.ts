import type { LabelValues } from "./metric-family.ts";

/** The series of one family, one child per combination of label values. */
export interface LabelledChildren<L extends readonly string[], C> {
  /** The child of these label values, made at the first call. Keep it where calls are many. */
  child(...values: LabelValues<L>): C;
  /** Takes the series out of later scrapes, until `child` makes it anew. */
  remove(...values: LabelValues<L>): void;
  entries(): Iterable<{ readonly labels: Readonly<Record<string, string>>; readonly cell: C }>;
}

/** So that a label that turns out to be unbounded costs one series more and no memory: names of models or routes are far fewer. */
const MAX_CHILDREN = 2_000;
/** The value of all labels of the child that takes what came after the limit. */
const OVERFLOW = "other";

export function labelledChildren<L extends readonly string[], C>(
  labels: L,
  create: () => C,
  limit: number = MAX_CHILDREN,
): LabelledChildren<L, C> {
  const children = new Map<string, { readonly labels: Record<string, string>; readonly cell: C }>();
  const keyOf = (values: readonly string[]): string => (values.length === 1 ? values[0]! : values.join("\0"));

  function make(key: string, values: readonly string[]): C {
    const made = { labels: Object.fromEntries(labels.map((label, i) => [label, values[i]!])), cell: create() };
    children.set(key, made);
    return made.cell;
  }

  return {
    child(...values) {
      const key = keyOf(values);
      const known = children.get(key);
      if (known !== undefined) return known.cell;
      if (children.size < limit) return make(key, values);
      const others = labels.map(() => OVERFLOW);
      return children.get(keyOf(others))?.cell ?? make(keyOf(others), others);
    },
    remove(...values) {
      children.delete(keyOf(values));
    },
    entries: () => children.values(),
  };
}
