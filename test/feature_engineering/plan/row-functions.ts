// Row functions as users write them, in TypeScript, for function-source-tools.test.ts: compiled by each tool.
// Exported lists keep minifiers from removing or inlining them.
type Row = Readonly<Record<string, unknown>>;
interface Amounts {
  readonly amount: number;
  readonly mean: number | null;
  readonly sd: number | null;
}

export const functions: Readonly<Record<string, (row: never) => unknown>> = {
  zscore: ({ amount, mean, sd }: Amounts) => (mean === null || !sd ? 0 : (amount - mean) / sd),
  block({ now, last }: { now: string; last: string | null }): boolean {
    // Never seen before.
    return last !== null && now !== last;
  },
  expression: function named({ a, b }: { a: number; b: number }) {
    if (a > b) return a;
    return b;
  },
  chain: ({ distance }: { distance: number | null }): string => {
    if (distance === null) {
      return "unknown";
    }
    if (distance < 500) {
      return "short";
    } else if (distance < 2_000) {
      return `medium`;
    }
    return "long";
  },
  optional: ({ row }: { row: { readonly inner?: Row } }) => (row as Row | null)?.inner ?? (row.inner as Row)!.value,
  loop: ({ values }: { values: readonly number[] }) => {
    let total = 0;
    for (const value of values) {
      if (value < 0) continue;
      total += value satisfies number;
    }
    for (let i = 0; i < values.length; i++) total += i;
    return total;
  },
  nested: ({ values }: { values: readonly (string | null)[] }) =>
    values
      .filter((value): value is string => value !== null)
      .map((value) => value.length)
      .reduce((a, b) => a + b, 0),
  constants: ({ at }: { at: Date }) => at.getTime() / (24 * 60 * 60 * 1000) > 1e3 === true || at.getUTCDay() === 0x06,
  undefinedResult: ({ a }: { a: number }) => (a === undefined ? undefined : { a, b: a, c: -a }),
  bigint: ({ cents }: { cents: bigint }) => cents * 100n + 0xffn,
  template: ({ a, b }: { a: string; b: number }) => `${a}: "${b}"\n`,
  regex: ({ text }: { text: string }) => /^[a-z]+\/$/i.test(text),
  defaults: ({ a = 1, rest: [first, ...more] }: { a?: number; rest: number[] }) => [a, first, ...more, Infinity, NaN],
  tryCatch: ({ text }: { text: string }) => {
    try {
      return JSON.parse(text) as unknown;
    } catch {
      return null;
    }
  },
  choice: ({ code }: { code: string }) => {
    switch (code) {
      case "AA":
      case "AS":
        return 1;
      default:
        return 2;
    }
  },
  inner: ({ a, b }: { a: number; b: number }) => {
    function larger(x: number, y: number): number {
      return x > 2 * y ? x : y;
    }
    return larger(a, b) + larger(b, 2 * a);
  },
  assertion: (row: Row) => row.amount as unknown as number,
};
