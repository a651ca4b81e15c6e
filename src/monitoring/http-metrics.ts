import { HTTP_REQUEST_CHANNEL, type HttpRequestEvent, SHED_CHANNEL, type ShedEvent } from "../api/channels.ts";
import * as families from "./families/serving.ts";
import { type HistogramCell, observe } from "./histogram-cell.ts";
import type { MetricSet } from "./metric-set.ts";
import type { NumberCell } from "./number-cell.ts";
import { subscribe } from "./subscribe.ts";

interface RouteCells {
  readonly seconds: HistogramCell;
  readonly statuses: Map<number, NumberCell>;
}

/** Measures HTTP requests; `traceId` gives the exemplars of their latencies. Returns what ends that. */
export function httpMetrics(set: MetricSet, traceId: () => string | null): () => void {
  const seconds = set.histogram(families.httpRequestDuration);
  const requests = set.counter(families.httpRequests);
  /** By method, then route: joining them for a key would cost more than all the rest. */
  const methods = new Map<string, Map<string, RouteCells>>();

  function routeCells(method: string, route: string): RouteCells {
    const routes = methods.get(method) ?? new Map<string, RouteCells>();
    methods.set(method, routes);
    const cells = { seconds: seconds.child(method, route), statuses: new Map<number, NumberCell>() };
    routes.set(route, cells);
    return cells;
  }

  const sheds = set.counter(families.shedRequests);
  const ends = [
    subscribe<ShedEvent>(SHED_CHANNEL, (event) => {
      sheds.child(event.class).value++;
    }),
    subscribe<HttpRequestEvent>(HTTP_REQUEST_CHANNEL, (event) => {
      const cells = methods.get(event.method)?.get(event.route) ?? routeCells(event.method, event.route);
      let count = cells.statuses.get(event.status);
      if (count === undefined) {
        count = requests.child(event.method, event.route, String(event.status));
        cells.statuses.set(event.status, count);
      }
      count.value++;
      observe(cells.seconds, event.seconds, traceId());
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
