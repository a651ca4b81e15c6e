import { expect, test } from "vitest";
import { negotiateFormat } from "../../src/monitoring/negotiate-format.ts";

test.each([
  ["", "text"],
  ["*/*", "text"],
  ["text/html,application/xhtml+xml,*/*;q=0.8", "text"],
  ["text/plain;version=0.0.4", "text"],
  ["application/openmetrics-text", "openmetrics"],
  ['application/openmetrics-text; version="1.0.0"; charset=utf-8', "openmetrics"],
  ["application/openmetrics-text;version=0.0.1", "text"],
  ["application/openmetrics-text;q=0", "text"],
  ["application/openmetrics-text;q=no", "text"],
  ["application/openmetrics-text;q=0.2,text/plain;version=0.0.4;q=0.5", "text"],
  // Prometheus 2.42.
  [
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "openmetrics",
  ],
  // Prometheus 3, which would rather have protobuf or a later text format.
  [
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
    "openmetrics",
  ],
] as const)("Accept: %s is answered in %s", (accept, format) => {
  expect(negotiateFormat(accept)).toBe(format);
});
