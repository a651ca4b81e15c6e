/**
 * Reads the orders into stores until it is told to stop, and dies at a chosen point: the process that the fault
 * tests kill. Argument: a {@link ConsumerPlan} as JSON. Writes its status to stdout, a line of JSON at a time.
 */

import type { OfflineStore } from "../../src/feature_store/offline/offline-store.ts";
import type { OnlineStore } from "../../src/feature_store/online/online-store.ts";
import { createPipeline } from "../../src/pipeline.ts";
import type { ConsumerPlan } from "./consumer-plan.ts";
import { declareOrders } from "./declarations.ts";
import { openFaultStores } from "./fault-stores.ts";

const plan = JSON.parse(process.argv[2]!) as ConsumerPlan;
let left = plan.die?.after ?? 0;

function pass(name: string): void {
  if (name === plan.die?.point && left-- <= 0) process.kill(process.pid, "SIGKILL");
}

function dyingOffline(store: OfflineStore): OfflineStore {
  return {
    ...store,
    async commit(commit) {
      pass("before-commit");
      const result = await store.commit(commit);
      pass("after-commit");
      return result;
    },
    async setApplied(positions) {
      pass("before-applied");
      await store.setApplied(positions);
      pass("after-applied");
    },
    async *read(...args) {
      if (plan.recovery) yield* store.read(...args);
    },
  };
}

function dyingOnline(store: OnlineStore): OnlineStore {
  return {
    ...store,
    async compareAndSet(writes, session) {
      const half = Math.ceil(writes.length / 2);
      const first = await store.compareAndSet(writes.slice(0, half), session);
      pass("between-writes");
      return [...first, ...(await store.compareAndSet(writes.slice(half), session))];
    },
  };
}

const stores = await openFaultStores(plan.stores);
const pipeline = createPipeline({
  ...declareOrders(plan.stream),
  online: dyingOnline(stores.online),
  offline: dyingOffline(stores.offline),
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
  });
  await new Promise((resolve) => setTimeout(resolve, 100));
}
