import { setTimeout as pause } from "node:timers/promises";
import { Admin, alterPartitionReassignmentsV1, Connection } from "@platformatic/kafka";
import { MillraceError } from "../../src/definitions/errors.ts";

/**
 * Gives every partition of a topic to other brokers: all replicas move on by one, so that the leader goes away. Resolves
 * when each has its new replicas, all in sync, and the first of them leads, as its preferred one.
 */
export async function moveLeaders(brokers: readonly string[], topic: string): Promise<void> {
  const admin = new Admin({ clientId: "moves", bootstrapBrokers: [...brokers] });
  const [host, port] = brokers[0]!.split(":");
  const connection = new Connection("moves");
  try {
    const before = await partitionsOf(admin, topic);
    const target = before.map(({ replicas }) => replicas.map((broker) => (broker + 1) % brokers.length));
    await connection.connect(host!, Number(port));
    await alterPartitionReassignmentsV1.api.async(connection, 30_000, true, [
      { name: topic, partitions: target.map((replicas, partitionIndex) => ({ partitionIndex, replicas })) },
    ]);
    for (const deadline = Date.now() + 60_000; ; await pause(100)) {
      const now = await partitionsOf(admin, topic).catch(() => []);
      const moved =
        now.length === target.length &&
        now.every(({ leader, isr, replicas }, i) => {
          return leader === target[i]![0] && isr.length === replicas.length && String(replicas) === String(target[i]);
        });
      if (moved) return;
      if (Date.now() > deadline) {
        throw new MillraceError("TEST_DEADLINE", `Leaders did not move: ${JSON.stringify(now)}`, {
          kind: "operational",
        });
      }
    }
  } finally {
    await Promise.resolve(connection.close()).catch(() => {});
    await admin.close();
  }
}

async function partitionsOf(admin: Admin, topic: string) {
  const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true });
  return topics.get(topic)?.partitions ?? [];
}
