import { millraceError } from "../../definitions/errors.ts";
import { batchSpans } from "./batch-spans.ts";
import { clientSpans } from "./client-spans.ts";
import { openOtel } from "./otel-adapter.ts";
import { requestSpans } from "./request-spans.ts";

export interface TracingOptions {
  /** Of the process; see {@link openTracing}. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `main`, `pipeline`, or the label of one of several processes. */
  readonly thread: string;
  readonly version: string;
}

export interface Tracing {
  /** Ends the subscriptions and sends what is left. */
  close(): Promise<void>;
}

/** Of traces that begin here, if `OTEL_TRACES_SAMPLER_ARG` does not say otherwise. */
const DEFAULT_RATIO = 0.01;

/**
 * Traces what happens in this thread if `OTEL_EXPORTER_OTLP_ENDPOINT` or `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` is set;
 * else nothing is loaded or subscribed to, and tracing costs nothing. `OTEL_SDK_DISABLED=true` turns it off,
 * `OTEL_SERVICE_NAME` (default `millrace`) names the service, `OTEL_TRACES_SAMPLER_ARG` (0 to 1, default 0.01) is the
 * share of traces beginning here that are recorded; what a caller decided of its trace counts.
 * @throws `CONFIG_INVALID`, naming the variable; `PACKAGE_MISSING`
 */
export async function openTracing({ env, thread, version }: TracingOptions): Promise<Tracing | null> {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT;
  if (!endpoint || env.OTEL_SDK_DISABLED === "true") return null;
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw invalid("OTEL_EXPORTER_OTLP_ENDPOINT", "a URL such as http://collector:4318");
  }
  const argument = env.OTEL_TRACES_SAMPLER_ARG?.trim();
  const ratio = argument === undefined || argument === "" ? DEFAULT_RATIO : Number(argument);
  if (!(ratio >= 0 && ratio <= 1)) throw invalid("OTEL_TRACES_SAMPLER_ARG", "a number from 0 to 1");
  const otel = await openOtel({ serviceName: env.OTEL_SERVICE_NAME || "millrace", version, thread, ratio });
  const ends = [requestSpans(otel), batchSpans(otel), clientSpans(otel)];
  return {
    async close() {
      for (const end of ends.splice(0)) end();
      await otel.close();
    },
  };
}

function invalid(name: string, expected: string): Error {
  return millraceError("CONFIG_INVALID", `The variable ${name} must be ${expected}.`, { details: { name } });
}
