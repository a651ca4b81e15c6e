import { t } from "../src/index.ts";

type Digit = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9;
/** `f0` to `f9`, `f10` to `f19`, `f20` to `f29`. */
export type Tens = { 0: `f${Digit}`; 1: `f1${Digit}`; 2: `f2${Digit}` };
export type Decade = keyof Tens;

/** The ten names of a decade, each with what `of` makes of it. */
export function tenOf<D extends Decade, Item>(decade: D, of: (name: Tens[D]) => Item): Readonly<Record<Tens[D], Item>> {
  const names = Array.from({ length: 10 }, (_, i) => `f${decade * 10 + i}` as Tens[D]);
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Tens[D], Item>;
}

/** Ten float64 columns for a schema. */
export function tenColumns<D extends Decade>(decade: D): Readonly<Record<Tens[D], ReturnType<typeof t.float64>>> {
  return tenOf(decade, () => t.float64());
}
