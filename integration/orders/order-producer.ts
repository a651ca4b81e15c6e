import type { OrderRow } from "./check-orders.ts";
import type { OrderStream } from "./declarations.ts";

/** Produces orders to a stream and knows what is to be found afterwards. */
export interface OrderProducer {
  readonly stream: OrderStream;
  /** What consumers must find. */
  readonly produced: readonly OrderRow[];
  /** Messages that nobody can decode. */
  readonly poison: number;
  send(count: number): Promise<void>;
  close(): Promise<void>;
}

/** A message that nobody can decode. */
export const POISON = "{ this is no order";

/** Makes orders, one after the other. */
export interface OrderRows {
  next(count: number): OrderRow[];
}

export function orderRows(): OrderRows {
  const start = Date.now() - 3_600_000;
  let made = 0;
  function order(): OrderRow {
    const n = made++;
    // Half of all orders are one customer's.
    const customer = n % 2 === 0 ? "c0" : `c${(n * 7919) % 61}`;
    return [n, customer, `s${(n * 31) % 7}`, (n % 1_000) / 4, start + n];
  }
  return { next: (count) => Array.from({ length: count }, order) };
}

export function orderText([n, customer, shop, amount, at]: OrderRow): string {
  return JSON.stringify({ n, customer, shop, amount, at: new Date(at).toISOString() });
}
