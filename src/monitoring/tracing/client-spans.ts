import type { Span } from "@opentelemetry/api";
import { subscribe } from "../subscribe.ts";
import { activeSpan } from "./active-span.ts";
import type { SpanMaker } from "./span-maker.ts";
import { writeTraceparent } from "./traceparent.ts";

/** `SpanKind.CLIENT`; the library itself is not loaded here. */
const CLIENT = 2;

/** As much of a request of `node:http` as is used. */
interface Outgoing {
  readonly method: string;
  readonly host: string;
  readonly protocol: string;
  readonly headersSent: boolean;
  setHeader(name: string, value: string): void;
}

/**
 * Spans of the HTTP requests that are made for a traced one (scoring servers, MLflow), which get its context in
 * `traceparent`. By Node's own channels of `node:http`. Paths, queries and headers are not recorded: they may hold
 * secrets. Returns what ends that.
 */
export function clientSpans(spans: SpanMaker): () => void {
  const open = new WeakMap<object, Span>();
  const finish = (request: object, status: number | null): void => {
    const span = open.get(request);
    if (span === undefined) return;
    open.delete(request);
    if (status !== null) span.setAttribute("http.response.status_code", status);
    spans.end(span, status === null ? "CONNECTION_FAILED" : status >= 400 ? String(status) : null);
  };
  const ends = [
    subscribe<{ readonly request: Outgoing }>("http.client.request.created", ({ request }) => {
      if (activeSpan.getStore() == null || request.headersSent) return;
      const span = spans.start(request.method, {
        kind: CLIENT,
        attributes: {
          "http.request.method": request.method,
          "server.address": request.host,
          "url.scheme": request.protocol.replace(":", ""),
        },
      });
      open.set(request, span);
      request.setHeader("traceparent", writeTraceparent(span.spanContext()));
    }),
    subscribe<{ readonly request: object; readonly response: { readonly statusCode: number } }>(
      "http.client.response.finish",
      ({ request, response }) => finish(request, response.statusCode),
    ),
    subscribe<{ readonly request: object }>("http.client.request.error", ({ request }) => finish(request, null)),
  ];
  return () => {
    for (const end of ends) end();
  };
}
