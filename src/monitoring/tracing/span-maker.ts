import type { Attributes, Link, Span, SpanContext, SpanKind } from "@opentelemetry/api";
import { activeSpan } from "./active-span.ts";

export interface SpanStart {
  readonly kind?: SpanKind;
  /** Null begins a trace. Default: the active span. */
  readonly parent?: Span | SpanContext | null;
  /** W3C `tracestate`, handed on as it came. */
  readonly tracestate?: string | undefined;
  readonly links?: readonly Link[];
  /** How long ago it began. Default 0. */
  readonly secondsAgo?: number;
  readonly attributes?: Attributes;
}

/** Makes spans; the one thing that the subscriptions know of the library. */
export interface SpanMaker {
  start(name: string, options?: SpanStart): Span;
  /** Ends it, `secondsAgo`; `error` is a stable code. */
  end(span: Span, error?: string | null, secondsAgo?: number): void;
  /** Whether the caller's trace is recorded: else what describes a span need not be made. */
  isRecorded(): boolean;
  /** A span of something that is over already: it ended `endedSecondsAgo`. Nothing if the active span is not recorded. */
  past(name: string, seconds: number, endedSecondsAgo: number, options?: SpanStart): Span | null;
}

/** Epoch milliseconds with the monotonic clock's resolution: spans of one trace must not overlap by rounding. */
export function epochMs(secondsAgo = 0): number {
  return performance.timeOrigin + performance.now() - secondsAgo * 1_000;
}

/** What the library's own work, such as exporting, must not run under a span of. */
export function outsideSpans<T>(work: () => T): T {
  return activeSpan.run(null, work);
}
