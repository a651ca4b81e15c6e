import type { InferSchema, Schema } from "./column-type.ts";
import { type Expr, expr } from "./expression.ts";
import { checkName } from "./names.ts";

/** Columns that come with each request. */
export type RequestSource<C extends Schema> = {
  // biome-ignore lint/complexity/noBannedTypes: no entity keys
  readonly [K in keyof C]: Expr<InferSchema<C>[K], never, {}, { [P in K]: InferSchema<C>[P] }>;
};

/** Declares columns that the caller gives with each request, such as the amount of the payment being checked. */
export function requestSource<const C extends Schema>(schema: C): RequestSource<C> {
  const columns = Object.entries(schema).map(([column, type]) => {
    checkName("a request column", column);
    return [column, expr({ op: "request", column, type: type.spec })] as const;
  });
  // The cast claims that each column's expression has the type of its schema entry, which is how they were made.
  return Object.freeze(Object.fromEntries(columns)) as RequestSource<C>;
}
