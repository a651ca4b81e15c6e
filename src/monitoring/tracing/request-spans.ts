import { channel } from "node:diagnostics_channel";
import type { Span } from "@opentelemetry/api";
import {
  HTTP_REQUEST_CHANNEL,
  HTTP_START_CHANNEL,
  type HttpRequestEvent,
  type HttpStartEvent,
  PREDICTION_BATCH_CHANNEL,
  PREDICTION_CHANNEL,
  PREDICTION_QUEUED_CHANNEL,
  type PredictionBatchEvent,
  type PredictionEvent,
} from "../../api/channels.ts";
import { ONLINE_READ_CHANNEL, type OnlineReadEvent } from "../../feature_store/channels.ts";
import { subscribe } from "../subscribe.ts";
import { activeSpan } from "./active-span.ts";
import type { SpanMaker } from "./span-maker.ts";
import { readTraceparent } from "./traceparent.ts";

/** `SpanKind.SERVER`; the library itself is not loaded here. */
const SERVER = 1;
/** Scrapes and probes are no requests that anyone traces. */
const UNTRACED = new Set(["/metrics", "/livez", "/readyz"]);

/** Spans from request to answer. Returns what ends that. */
export function requestSpans(spans: SpanMaker): () => void {
  const open = new WeakMap<object, Span>();
  const queued = new WeakMap<object, Span>();
  const starts = channel(HTTP_START_CHANNEL);

  function begin(event: HttpStartEvent): Span | null {
    if (UNTRACED.has(event.route)) return null;
    const span = spans.start(`${event.method} ${event.route}`, {
      kind: SERVER,
      parent: readTraceparent(event.traceparent),
      tracestate: event.tracestate,
      secondsAgo: event.seconds,
      attributes: { "http.request.method": event.method, "http.route": event.route, "url.scheme": "http" },
    });
    open.set(event.request, span);
    return span;
  }
  starts.bindStore(activeSpan, (event) => begin(event as HttpStartEvent));

  const ends = [
    // Of an event with a bound store alone, publishing is by a subscriber's presence.
    subscribe(HTTP_START_CHANNEL, () => {}),
    subscribe<HttpRequestEvent>(HTTP_REQUEST_CHANNEL, ({ request, status }) => {
      const span = request === undefined ? undefined : open.get(request);
      if (span === undefined) return;
      open.delete(request!);
      if (span.isRecording()) span.setAttribute("http.response.status_code", status);
      spans.end(span, status >= 500 ? String(status) : null);
    }),
    subscribe<PredictionEvent>(PREDICTION_CHANNEL, ({ model, version, rows, seconds, stages, outcome }) => {
      if (!spans.isRecorded()) return;
      const attributes = {
        "millrace.model.name": model,
        "millrace.rows": rows,
        ...(version === null ? {} : { "millrace.model.version": version }),
        ...(outcome === "ok" ? {} : { "error.type": outcome }),
      };
      const span = spans.past("predict", seconds, 0, { attributes });
      if (span === null || outcome !== "ok") return;
      spans.past("read features", stages.features, stages.model, { parent: span });
      spans.past("run model", stages.model, 0, { parent: span });
    }),
    subscribe<object>(PREDICTION_QUEUED_CHANNEL, (waiting) => {
      const span = activeSpan.getStore();
      if (span?.isRecording() === true) queued.set(waiting, span);
    }),
    subscribe<PredictionBatchEvent>(PREDICTION_BATCH_CHANNEL, ({ requests, rows, seconds }) => {
      // It is of all of them, and a child of the first that is recorded.
      const first = requests.find((request) => queued.has(request));
      if (first === undefined || requests.length === 1) return;
      const links = requests.flatMap((request) => {
        const span = queued.get(request);
        return span === undefined ? [] : [{ context: span.spanContext() }];
      });
      spans.past("predict together", seconds, 0, {
        parent: queued.get(first)!,
        links,
        attributes: { "millrace.requests": requests.length, "millrace.rows": rows },
      });
    }),
    subscribe<OnlineReadEvent>(
      ONLINE_READ_CHANNEL,
      ({ service, rows, seconds, hits, misses, cacheHits, unavailable }) => {
        if (!spans.isRecorded()) return;
        spans.past("read hot store", seconds, 0, {
          attributes: {
            "millrace.service": service,
            "millrace.rows": rows,
            "millrace.hits": hits,
            "millrace.misses": misses,
            "millrace.cache_hits": cacheHits,
            "millrace.unavailable": unavailable,
          },
        });
      },
    ),
  ];
  return () => {
    starts.unbindStore(activeSpan);
    for (const end of ends) end();
  };
}
