import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { getHeapStatistics } from "node:v8";
import * as families from "./families/runtime.ts";
import { observe } from "./histogram-cell.ts";
import type { MetricSet } from "./metric-set.ts";

const SAMPLE_MS = 20;
/** A suspended machine is no lag that anybody wants to see: of one stall at most this many samples are counted. */
const MAX_SAMPLES = 1_000;

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
    let wait = Math.max(0, now - last - SAMPLE_MS);
    last = now;
    // A stall makes one late sample of many: those that it swallowed would have waited too, each 20 ms less.
    for (let i = 0; i < MAX_SAMPLES; i++) {
      observe(lag, wait / 1_000);
      wait -= SAMPLE_MS;
      if (wait <= 0) break;
    }
  }, SAMPLE_MS);
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
