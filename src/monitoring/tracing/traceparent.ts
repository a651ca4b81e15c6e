import type { SpanContext } from "@opentelemetry/api";

/** W3C Trace Context, version 00 and what later versions keep of it. */
const PATTERN = /^(?!ff)([\da-f]{2})-(?!0{32})([\da-f]{32})-(?!0{16})([\da-f]{16})-([\da-f]{2})(-.*)?$/;

/** The context that a `traceparent` header names; null if it is none. */
export function readTraceparent(header: string | undefined): SpanContext | null {
  const match = header === undefined ? null : PATTERN.exec(header);
  if (match === null || (match[1] === "00" && match[5] !== undefined)) return null;
  return { traceId: match[2]!, spanId: match[3]!, traceFlags: Number.parseInt(match[4]!, 16) & 1, isRemote: true };
}

export function writeTraceparent({ traceId, spanId, traceFlags }: SpanContext): string {
  return `00-${traceId}-${spanId}-${(traceFlags & 1) === 1 ? "01" : "00"}`;
}
