import type { AnyExpr, Expr, KeysOf, RequestOf, StreamOf, ValueOf } from "./expression.ts";

/** How many columns one transform may make: the compiler counts their names. */
export const MAX_COLUMNS = 512;

/** A value of the same stream, keys and request columns as `E`, of type `T`. */
export interface Like<E, T> extends Expr<T, StreamOf<E>, KeysOf<E>, RequestOf<E>> {}

/** `T`, or null where `E` may be null. */
export type NullIf<E, T> = null extends ValueOf<E> ? T | null : T;

/** A transform that makes several columns of a service's row, `key_name` for each name `C`. */
export interface ColumnGroup<E, C extends string> extends Like<E, number> {
  readonly "~columns"?: C;
}

/** The widest group, for constraints. */
// biome-ignore lint/suspicious/noExplicitAny: the widest group
export type AnyColumnGroup<C extends string = any> = AnyExpr & { readonly "~columns"?: C };

/** "0" to "N − 1"; `string` if `N` is not one number. */
export type Indexes<N extends number> = number extends N ? string : CountTo<N>;
type CountTo<
  N extends number,
  Counted extends readonly unknown[] = readonly [],
  Names extends string = never,
> = Counted["length"] extends N ? Names : CountTo<N, readonly [...Counted, unknown], Names | `${Counted["length"]}`>;
