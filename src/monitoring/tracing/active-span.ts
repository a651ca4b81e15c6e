import { AsyncLocalStorage } from "node:async_hooks";
import type { Span } from "@opentelemetry/api";

/** The span that the caller works for; without tracing there is none, ever. */
export const activeSpan: AsyncLocalStorage<Span | null> = new AsyncLocalStorage();

/** The id of the trace that the caller is in, 32 hex digits, if it is recorded: for exemplars. */
export function activeTraceId(): string | null {
  const span = activeSpan.getStore();
  return span?.isRecording() === true ? span.spanContext().traceId : null;
}

/** What a log line says of the trace that its writer is in; nothing without one. For pino's `mixin`. */
export function traceFields(): { readonly trace_id?: string; readonly span_id?: string } {
  const span = activeSpan.getStore();
  if (span == null) return {};
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}
