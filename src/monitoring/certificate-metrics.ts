import { CERTIFICATE_CHANNEL, type CertificateEvent } from "../api/channels.ts";
import * as families from "./families/serving.ts";
import type { MetricSet } from "./metric-set.ts";
import { subscribe } from "./subscribe.ts";

/** Shows until when the server's certificate counts, and whether a new one was refused. Returns what ends that. */
export function certificateMetrics(set: MetricSet): () => void {
  const expiry = set.gauge(families.certificateExpiry);
  const failing = set.gauge(families.certificateUpdateFailing);
  const updates = set.counter(families.certificateUpdates);
  return subscribe<CertificateEvent>(CERTIFICATE_CHANNEL, ({ outcome, expiresAt }) => {
    expiry.child().value = expiresAt / 1_000;
    failing.child().value = outcome === "ok" ? 0 : 1;
    updates.child(outcome).value++;
  });
}
