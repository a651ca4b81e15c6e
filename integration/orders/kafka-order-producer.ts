import { setTimeout as pause } from "node:timers/promises";
import { Admin, Producer } from "@platformatic/kafka";
import type { OrderRow } from "./check-orders.ts";
import { type OrderProducer, orderRows, orderText, POISON } from "./order-producer.ts";

/** Most orders are sent plainly, with poison among them, some in transactions, and beside these aborted ones. */
export interface KafkaOrderProducer extends OrderProducer {
  readonly topic: string;
  /** Messages of transactions that were aborted. */
  readonly aborted: number;
  /** Of what consumers must find: the last offset, by `topic:index`. */
  readonly lastOffsets: ReadonlyMap<string, number>;
  /** Resolves when every replica has everything again and the preferred ones lead; sends go on over new connections. */
  settle(): Promise<void>;
}

export async function kafkaOrderProducer(
  brokers: readonly string[],
  {
    topic,
    partitions,
    replicas,
    often = false,
  }: {
    readonly topic: string;
    readonly partitions: number;
    readonly replicas: number;
    /** A transaction every fourth time, and not the first time only: after a broker's failure, settle first. */
    readonly often?: boolean;
  },
): Promise<KafkaOrderProducer> {
  const client = { clientId: "orders", bootstrapBrokers: [...brokers], retries: 20, retryDelay: 250 };
  const admin = new Admin(client);
  await admin.createTopics({ topics: [topic], partitions, replicas });
  await admin.close();
  // Each connection is a producer of its own: one that follows under the same name may be taken for the fenced one.
  let connections = 0;
  const connect = () => ({
    plain: new Producer({ ...client, idempotent: true }),
    transactional: new Producer({ ...client, idempotent: true, transactionalId: `orders-${topic}-${connections++}` }),
  });
  let { plain, transactional } = connect();
  const rows = orderRows();
  const produced: OrderRow[] = [];
  let poison = 0;
  let aborted = 0;
  let batches = 0;

  const messagesOf = (orders: readonly OrderRow[]) =>
    orders.map((row) => ({ topic, partition: row[0] % partitions, value: Buffer.from(orderText(row)) }));

  const lastOffsets = new Map<string, number>();
  function noteOffsets(
    messages: readonly { readonly partition: number }[],
    { offsets = [] }: Awaited<ReturnType<typeof plain.send>>,
  ): void {
    for (const { partition, offset } of offsets) {
      const count = messages.filter((message) => message.partition === Number(partition)).length;
      const [name, last] = [`${topic}:${partition}`, Number(offset) + count - 1];
      if (offset >= 0n) lastOffsets.set(name, Math.max(last, lastOffsets.get(name) ?? -1));
    }
  }

  async function close(): Promise<void> {
    await plain.close(true);
    await transactional.close(true);
  }

  return {
    stream: { transport: "kafka", topic },
    topic,
    produced,
    lastOffsets,
    get poison() {
      return poison;
    },
    get aborted() {
      return aborted;
    },
    async send(count) {
      for (let sent = 0; sent < count; ) {
        const size = Math.min(100, count - sent);
        sent += size;
        const orders = rows.next(size);
        const messages = messagesOf(orders);
        if (batches++ % (often ? 4 : Number.POSITIVE_INFINITY) === 0) {
          const takenBack = await transactional.beginTransaction();
          await takenBack.send({ messages: messagesOf(rows.next(20)) });
          await takenBack.abort();
          aborted += 20;
          const transaction = await transactional.beginTransaction();
          noteOffsets(messages, await transaction.send({ messages }));
          await transaction.commit();
        } else {
          const bad = { topic, partition: poison++ % partitions, value: Buffer.from(POISON) };
          messages.push(bad);
          noteOffsets(messages, await plain.send({ messages, acks: -1 }));
        }
        produced.push(...orders);
      }
    },
    async settle() {
      await close();
      const watching = new Admin(client);
      for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
        const known = await watching.metadata({ topics: [topic], forceUpdate: true }).catch(() => null);
        const found = known?.topics.get(topic)?.partitions ?? [];
        const isCalm = found.every(({ leader, isr, replicas: all }) => isr.length === all.length && leader === all[0]);
        if (found.length === partitions && isCalm) break;
        await pause(200);
      }
      await watching.close();
      ({ plain, transactional } = connect());
    },
    close,
  };
}
