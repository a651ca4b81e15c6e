import type { Context, Span, SpanContext } from "@opentelemetry/api";
import { millraceError } from "../../definitions/errors.ts";
import { activeSpan } from "./active-span.ts";
import { epochMs, outsideSpans, type SpanMaker, type SpanStart } from "./span-maker.ts";

export interface OtelOptions {
  readonly serviceName: string;
  readonly version: string;
  /** What part of the process this is: `main`, `pipeline`, or its label. */
  readonly thread: string;
  /** The share of traces that begin here and are recorded, 0 to 1. A caller's decision counts in its trace. */
  readonly ratio: number;
}

export interface Otel extends SpanMaker {
  /** Sends what is left, at most for a few seconds. */
  close(): Promise<void>;
}

const NAMES = [
  "@opentelemetry/api",
  "@opentelemetry/sdk-trace-base",
  "@opentelemetry/resources",
  "@opentelemetry/exporter-trace-otlp-proto",
] as const;

/**
 * Exports spans by OTLP over HTTP; where to, with which headers and timeouts, the exporter reads from `OTEL_EXPORTER_OTLP_*`.
 * @throws `PACKAGE_MISSING`
 */
export async function openOtel(options: OtelOptions): Promise<Otel> {
  const [api, sdk, resources, otlp] = await loadPackages();
  const { ROOT_CONTEXT, trace, SpanStatusCode } = api;
  const exporter = new otlp.OTLPTraceExporter();
  const provider = new sdk.BasicTracerProvider({
    resource: resources.resourceFromAttributes({
      "service.name": options.serviceName,
      "service.version": options.version,
      "service.instance.id": crypto.randomUUID(),
      "process.pid": process.pid,
      "thread.name": options.thread,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(options.ratio) }),
    spanProcessors: [new sdk.BatchSpanProcessor(exporter)],
  });
  const tracer = provider.getTracer("millrace", options.version);

  function contextOf({ parent, tracestate }: SpanStart): Context {
    const of = parent === undefined ? (activeSpan.getStore() ?? null) : parent;
    if (of === null) return ROOT_CONTEXT;
    if ("spanContext" in of) return trace.setSpan(ROOT_CONTEXT, of);
    const context: SpanContext =
      tracestate === undefined ? of : { ...of, traceState: api.createTraceState(tracestate) };
    return trace.setSpanContext(ROOT_CONTEXT, context);
  }

  // By the flags: what a span caused may end after it, as a batch is folded while the next one is committed.
  function isRecorded(): boolean {
    const flags = activeSpan.getStore()?.spanContext().traceFlags ?? 0;
    return (flags & api.TraceFlags.SAMPLED) !== 0;
  }

  function start(name: string, options: SpanStart = {}): Span {
    const { kind = api.SpanKind.INTERNAL, links = [], secondsAgo = 0, attributes = {} } = options;
    return tracer.startSpan(
      name,
      { kind, links: [...links], startTime: epochMs(secondsAgo), attributes },
      contextOf(options),
    );
  }

  function end(span: Span, error: string | null = null, secondsAgo = 0): void {
    if (error !== null) {
      span.setAttribute("error.type", error);
      span.setStatus({ code: SpanStatusCode.ERROR });
    }
    // Ending may start the timer or the request of an export.
    outsideSpans(() => span.end(epochMs(secondsAgo)));
  }

  return {
    start,
    end,
    isRecorded,
    past(name, seconds, endedSecondsAgo, options = {}) {
      if (options.parent === undefined && !isRecorded()) return null;
      const span = start(name, { ...options, secondsAgo: seconds + endedSecondsAgo });
      end(span, null, endedSecondsAgo);
      return span;
    },
    // A collector that is gone must not keep the process.
    close: () => outsideSpans(() => provider.shutdown()).catch(() => {}),
  };
}

async function loadPackages() {
  try {
    return await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/sdk-trace-base"),
      import("@opentelemetry/resources"),
      import("@opentelemetry/exporter-trace-otlp-proto"),
    ]);
  } catch (cause) {
    throw millraceError(
      "PACKAGE_MISSING",
      `OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and a package for them cannot be loaded: npm install ${NAMES.join(" ")}, or unset the variable.`,
      { kind: "operational", cause },
    );
  }
}
