const ORDER_FREE = new Set(["count", "sum", "mean", "variance", "stddev", "min", "max", "count_distinct"]);

/** Whether an aggregation's result is of the values alone; the others are given each event's place in the order. */
export function isOrderFree(aggregation: string): boolean {
  return ORDER_FREE.has(aggregation);
}
