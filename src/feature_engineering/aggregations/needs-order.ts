const ORDERED = new Set(["latest", "first", "last_n"]);

/** Whether an aggregation must know each event's place in the order of events; the others' results are of the values alone. */
export function needsOrder(aggregation: string): boolean {
  return ORDERED.has(aggregation);
}
