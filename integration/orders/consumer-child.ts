/**
 * Reads the orders into stores until it is told to stop, and dies at a chosen point: the process that the fault
 * tests kill. Argument: a {@link ConsumerPlan} as JSON. Writes its status to stdout, a line of JSON at a time.
 */

import { createPipeline } from "../../src/pipeline/pipeline.ts";
import { dyingStores } from "../../test/crash/dying-stores.ts";
import type { ConsumerPlan } from "./consumer-plan.ts";
import { declareOrders } from "./declarations.ts";
import { openFaultStores } from "./fault-stores.ts";

const plan = JSON.parse(process.argv[2]!) as ConsumerPlan;
const stores = await openFaultStores(plan.stores);
const pipeline = createPipeline({
  ...declareOrders(plan.stream),
  ...dyingStores(stores, { point: plan.die?.point ?? null, after: plan.die?.after ?? 0, recovery: plan.recovery }),
  connections: plan.connections,
  maxBatch: 200,
  ...plan.more,
  onFailure: (_source, error) => say({ failed: error instanceof Error ? error.message : String(error) }),
});

function say(what: object): void {
  process.stdout.write(`${JSON.stringify(what)}\n`);
}

let stopping = false;
async function stop(): Promise<void> {
  if (stopping) return;
  stopping = true;
  await pipeline.drain();
  await stores.close();
  process.exit(0);
}
process.on("SIGTERM", () => void stop());

await pipeline.recover();
await pipeline.start();
while (!stopping) {
  const { sources } = await pipeline.status();
  const { partitions, state, lastError } = sources[0]!;
  const own = partitions.filter(
    ({ partition, owner }) => !partition.startsWith("http:") && owner?.endsWith(`:${process.pid}`),
  );
  say({
    state,
    lastError,
    lag: Object.fromEntries(own.map((p) => [p.partition, p.lagMessages])),
    owners: Object.fromEntries(partitions.map((p) => [p.partition, p.owner])),
    committed: Object.fromEntries(partitions.map((p) => [p.partition, p.committed])),
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
}
