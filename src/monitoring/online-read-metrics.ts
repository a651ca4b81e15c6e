import { ONLINE_READ_CHANNEL, type OnlineReadEvent } from "../feature_store/channels.ts";
import * as families from "./families/feature-store.ts";
import { type HistogramCell, observe } from "./histogram-cell.ts";
import type { MetricSet } from "./metric-set.ts";
import type { NumberCell } from "./number-cell.ts";
import { subscribe } from "./subscribe.ts";

interface StatusCells {
  readonly present: NumberCell;
  readonly nullValue: NumberCell;
  readonly notFound: NumberCell;
  readonly outsideMaxAge: NumberCell;
  readonly unavailable: NumberCell;
}

interface ServiceCells {
  readonly seconds: HistogramCell;
  readonly rows: NumberCell;
  readonly hits: NumberCell;
  readonly misses: NumberCell;
  readonly unavailable: NumberCell;
  readonly cacheHits: NumberCell;
  readonly cacheMisses: NumberCell;
  readonly cacheAge: HistogramCell;
  readonly headOverlaps: NumberCell;
  /** The event's array, by which a service that was declared anew is told. */
  readonly inputViews: OnlineReadEvent["inputViews"];
  /** Per input the counters of its view; null for a request column. */
  readonly inputs: readonly (StatusCells | null)[];
}

/** Measures reads of features from the hot store. Returns what ends that. */
export function onlineReadMetrics(set: MetricSet): () => void {
  const seconds = set.histogram(families.onlineReadDuration);
  const rows = set.counter(families.onlineReadRows);
  const hits = set.counter(families.onlineStoreHits);
  const misses = set.counter(families.onlineStoreMisses);
  const unavailable = set.counter(families.onlineStoreUnavailable);
  const cacheHits = set.counter(families.onlineCacheHits);
  const cacheMisses = set.counter(families.onlineCacheMisses);
  const cacheAge = set.histogram(families.onlineCacheAge);
  const headOverlaps = set.counter(families.headOverlaps);
  const statuses = set.counter(families.featureStatuses);
  const services = new Map<string, ServiceCells>();

  function serviceCells(service: string, inputViews: OnlineReadEvent["inputViews"]): ServiceCells {
    const cells: ServiceCells = {
      seconds: seconds.child(service),
      rows: rows.child(service),
      hits: hits.child(service),
      misses: misses.child(service),
      unavailable: unavailable.child(service),
      cacheHits: cacheHits.child(service),
      cacheMisses: cacheMisses.child(service),
      cacheAge: cacheAge.child(service),
      headOverlaps: headOverlaps.child(service),
      inputViews,
      inputs: inputViews.map((view) =>
        view === null
          ? null
          : {
              present: statuses.child(view, "PRESENT"),
              nullValue: statuses.child(view, "NULL_VALUE"),
              notFound: statuses.child(view, "NOT_FOUND"),
              outsideMaxAge: statuses.child(view, "OUTSIDE_MAX_AGE"),
              unavailable: statuses.child(view, "UNAVAILABLE"),
            },
      ),
    };
    services.set(service, cells);
    return cells;
  }

  return subscribe<OnlineReadEvent>(ONLINE_READ_CHANNEL, (event) => {
    let cells = services.get(event.service);
    if (cells?.inputViews !== event.inputViews) cells = serviceCells(event.service, event.inputViews);
    observe(cells.seconds, event.seconds);
    cells.rows.value += event.rows;
    cells.hits.value += event.hits;
    cells.misses.value += event.misses;
    cells.unavailable.value += event.unavailable;
    cells.cacheHits.value += event.cacheHits;
    cells.cacheMisses.value += event.cacheMisses;
    if (event.cacheHits > 0) observe(cells.cacheAge, event.cacheAgeSeconds);
    cells.headOverlaps.value += event.headOverlaps;
    countStatuses(cells.inputs, event.statuses());
  });
}

function countStatuses(inputs: ServiceCells["inputs"], rows: ReturnType<OnlineReadEvent["statuses"]>): void {
  for (let i = 0; i < inputs.length; i++) {
    const cells = inputs[i]!;
    if (cells === null) continue;
    let present = 0;
    for (let r = 0; r < rows.length; r++) {
      const status = rows[r]![i]!;
      if (status === "PRESENT") present++;
      else if (status === "NULL_VALUE") cells.nullValue.value++;
      else if (status === "NOT_FOUND") cells.notFound.value++;
      else if (status === "OUTSIDE_MAX_AGE") cells.outsideMaxAge.value++;
      else cells.unavailable.value++;
    }
    cells.present.value += present;
  }
}
