import {
  MODEL_LOAD_CHANNEL,
  MODEL_SWAP_CHANNEL,
  MODEL_UPDATE_CHANNEL,
  MODEL_WEBHOOK_CHANNEL,
  type ModelLoadEvent,
  type ModelSwapEvent,
  type ModelUpdateEvent,
  type ModelWebhookEvent,
} from "../api/channels.ts";
import * as families from "./families/serving.ts";
import { observe } from "./histogram-cell.ts";
import type { MetricSet } from "./metric-set.ts";
import { subscribe } from "./subscribe.ts";

/** Measures loads and swaps of models. `now`: epoch milliseconds. Returns what ends that. */
export function modelMetrics(set: MetricSet, now: () => number): () => void {
  const seconds = set.histogram(families.modelLoadDuration);
  const loads = set.counter(families.modelLoads);
  const lastLoad = set.gauge(families.modelLastLoad);
  const serving = set.gauge(families.modelServing);
  const size = set.gauge(families.modelSize);
  const failures = set.counter(families.modelUpdateFailures);
  const webhooks = set.counter(families.modelWebhooks);
  const failing = set.gauge(families.modelUpdateFailing);
  /** Per model its sizes by version: few, and a rollback swaps to an old one. */
  const sizes = new Map<string, Map<string, number>>();
  const versions = new Map<string, string>();

  const ends = [
    subscribe<ModelLoadEvent>(MODEL_LOAD_CHANNEL, (event) => {
      observe(seconds.child(event.model), event.seconds);
      loads.child(event.model, event.outcome).value++;
      if (event.outcome !== "ok") return;
      lastLoad.child(event.model).value = now() / 1_000;
      if (event.sizeBytes === null) return;
      const known = sizes.get(event.model) ?? new Map<string, number>();
      sizes.set(event.model, known.set(event.version, event.sizeBytes));
    }),
    subscribe<ModelSwapEvent>(MODEL_SWAP_CHANNEL, (event) => {
      const previous = versions.get(event.model) ?? event.previous;
      if (previous !== null) serving.remove(event.model, previous);
      versions.set(event.model, event.version);
      serving.child(event.model, event.version).value = 1;
      const bytes = sizes.get(event.model)?.get(event.version);
      if (bytes === undefined) size.remove(event.model);
      else size.child(event.model).value = bytes;
    }),
    subscribe<ModelWebhookEvent>(MODEL_WEBHOOK_CHANNEL, ({ outcome }) => void webhooks.child(outcome).value++),
    subscribe<ModelUpdateEvent>(MODEL_UPDATE_CHANNEL, (event) => {
      for (const { reason } of event.failures) failures.child(event.model, reason).value++;
      failing.child(event.model).value = Number(event.isFailing);
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}
