import { checkPanels } from "../integration/monitoring/check-panels.ts";
import { startMonitoredWorld } from "../integration/monitoring/monitored-world.ts";

/** Every panel's query against a real Prometheus that scrapes a real Millrace under load, and again with each metric renamed. */
export async function run(): Promise<void> {
  await using world = await startMonitoredWorld({ scale: 60 });
  const { panels, withData, pending, empty, renamed, blind } = await checkPanels(world, 360);
  const lines = [
    `panels: ${panels}, with data: ${withData}, of metrics that are not shown yet: ${pending.length}   (aim: all, all, 0)`,
    ...pending.map((at) => `  pending ${at}`),
    ...empty.map((at) => `  no data ${at}`),
    `metrics renamed in a query: ${renamed}, noticed: ${renamed - blind.length}   (aim: all)`,
    ...blind.map((at) => `  not noticed ${at}`),
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
  if (empty.length + blind.length > 0) process.exitCode = 1;
}
