/** How much shorter than in production the rules' times are: 1, or more where alerts are tried out. */
export type Scale = number;

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3_600, d: 86_400 };

/** Rates need some scrapes in their window; where rules are tried out, one is made each second. */
const SHORTEST_WINDOW_SECONDS = 6;

/** A range of a query, such as `5m`, divided by the scale. */
export function window(text: string, scale: Scale): string {
  return scale === 1 ? text : `${Math.max(SHORTEST_WINDOW_SECONDS, Math.round(secondsOf(text) / scale))}s`;
}

/** How long something must hold, such as `5m`, divided by the scale. */
export function holding(text: string, scale: Scale): string {
  return scale === 1 ? text : `${Math.max(1, Math.round(secondsOf(text) / scale))}s`;
}

/** A threshold in seconds, divided by the scale. */
export function limit(seconds: number, scale: Scale): number {
  return seconds / scale;
}

function secondsOf(text: string): number {
  return Number.parseFloat(text) * SECONDS[text.at(-1)!]!;
}
