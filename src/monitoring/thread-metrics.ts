import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import { LAG_SAMPLE_MS, observeLag } from "./event-loop-lag.ts";
import * as families from "./families/runtime.ts";
import type { MetricSet } from "./metric-set.ts";

/** Measures the event loop and the heap of the thread that calls it. Returns what ends that. */
export function threadMetrics(set: MetricSet, thread: string): () => void {
  const lag = set.histogram(families.eventLoopLag).child(thread);
  const active = set.counter(families.eventLoopActive).child(thread);
  const used = set.gauge(families.heapUsed).child(thread);
  const limit = set.gauge(families.heapLimit).child(thread);
  const external = set.gauge(families.externalMemory).child(thread);

  let last = performance.now();
  const timer = setInterval(() => {
    const now = performance.now();
    observeLag(lag, now - last);
    last = now;
  }, LAG_SAMPLE_MS);
  timer.unref();

  set.onRender(() => {
    const utilization: EventLoopUtilization = performance.eventLoopUtilization();
    active.value = utilization.active / 1_000;
    const heap = getHeapStatistics();
    used.value = heap.used_heap_size;
    limit.value = heap.heap_size_limit;
    external.value = heap.external_memory;
  });
  return () => clearInterval(timer);
}
