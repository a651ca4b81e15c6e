/** Metrics that rules and dashboards know and no family shows yet. */
export const PENDING_METRICS: ReadonlySet<string> = new Set([]);
