import { readdirSync } from "node:fs";
import * as families from "./families/runtime.ts";
import type { MetricSet } from "./metric-set.ts";

/** Shows what is one for all threads of the process, under the names that Prometheus' client guidelines give. */
export function processMetrics(set: MetricSet, pipelineUp: () => boolean): void {
  const up = set.gauge(families.pipelineUp).child();
  const cpu = set.counter(families.processCpu).child();
  const memory = set.gauge(families.processResidentMemory).child();
  const files = set.gauge(families.processOpenFiles).child();
  set.gauge(families.processStartTime).child().value = Date.now() / 1_000 - process.uptime();
  set.gauge(families.nodeVersion).child(process.version).value = 1;

  set.onRender(() => {
    const { user, system } = process.cpuUsage();
    cpu.value = (user + system) / 1e6;
    memory.value = process.memoryUsage.rss();
    files.value = openFiles();
    up.value = pipelineUp() ? 1 : 0;
  });
}

function openFiles(): number {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return 0;
  }
}
