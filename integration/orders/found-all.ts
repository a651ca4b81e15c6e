import { setTimeout as pause } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import type { ConsumerProcess } from "./consumer-process.ts";
import { type FaultStores, openFaultStores } from "./fault-stores.ts";
import type { OrderProducer } from "./order-producer.ts";

/**
 * Resolves when the cold store has every message that was sent, as an event or as a dead letter: of transports that do
 * not count what is left. The stores must be such that several processes open them.
 */
export async function foundAll(
  producer: OrderProducer,
  stores: FaultStores,
  consumers: readonly ConsumerProcess[],
  withinMs: number,
): Promise<void> {
  const { offline, close } = await openFaultStores(stores);
  try {
    for (const deadline = Date.now() + withinMs; ; await pause(500)) {
      const found = new Set<unknown>();
      for (const { partitionId, committed } of await offline.partitions("orders")) {
        for await (const events of offline.read("orders", partitionId, -1, committed)) {
          for (const { row } of events) found.add(row[0]);
        }
      }
      const letters = await offline.deadLetters({ source: "orders", limit: 1_000_000 });
      if (found.size >= producer.produced.length && letters.length >= producer.poison) return;
      if (Date.now() < deadline && consumers.every((one) => one.isAlive())) continue;
      const words = consumers.map((one) => one.words());
      throw new MillraceError(
        "TEST_DEADLINE",
        `The consumers found ${found.size} of ${producer.produced.length} orders, and ${letters.length} of ${producer.poison} that are none: ${JSON.stringify(words)}`,
        { kind: "operational" },
      );
    }
  } finally {
    await close();
  }
}
