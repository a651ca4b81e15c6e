import {
  SCORING_BREAKER_CHANNEL,
  SCORING_CHANNEL,
  type ScoringBreakerEvent,
  type ScoringEvent,
} from "../api/channels.ts";
import * as families from "./families/serving.ts";
import { observe } from "./histogram-cell.ts";
import type { MetricSet } from "./metric-set.ts";
import { subscribe } from "./subscribe.ts";

const OPEN = { closed: 0, half_open: 0.5, open: 1 } as const;

/** Measures the servers that predict in Millrace's stead. Returns what ends that. */
export function scoringMetrics(set: MetricSet): () => void {
  const seconds = set.histogram(families.scoringDuration);
  const requests = set.counter(families.scoringRequests);
  const retries = set.counter(families.scoringRetries);
  const breaker = set.gauge(families.scoringBreakerOpen);
  const ends = [
    subscribe<ScoringEvent>(SCORING_CHANNEL, (event) => {
      requests.child(event.server, event.outcome).value++;
      retries.child(event.server).value += event.retries;
      // Shown from the first request on, before it opened once.
      breaker.child(event.server);
      if (event.outcome === "ok") observe(seconds.child(event.server), event.seconds);
    }),
    subscribe<ScoringBreakerEvent>(SCORING_BREAKER_CHANNEL, ({ server, state }) => {
      breaker.child(server).value = OPEN[state];
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
