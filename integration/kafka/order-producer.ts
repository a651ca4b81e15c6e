import { setTimeout as pause } from "node:timers/promises";
import { Admin, Producer } from "@platformatic/kafka";
import type { OrderRow } from "./check-orders.ts";

/** Produces orders to a topic and knows what is to be found afterwards. */
export interface OrderProducer {
  readonly topic: string;
  /** What consumers must find. */
  readonly produced: readonly OrderRow[];
  /** Messages that nobody can decode. */
  readonly poison: number;
  /** Sends so many orders, most of them plainly, some in transactions, and beside them aborted ones and poison. */
  send(count: number): Promise<void>;
  /** Resolves when every replica of the topic has everything again; sends go on over new connections. */
  settle(): Promise<void>;
  close(): Promise<void>;
}

export async function orderProducer(
  brokers: readonly string[],
  { topic, partitions, replicas }: { readonly topic: string; readonly partitions: number; readonly replicas: number },
): Promise<OrderProducer> {
  const client = { clientId: "orders", bootstrapBrokers: [...brokers], retries: 20, retryDelay: 250 };
  const admin = new Admin(client);
  await admin.createTopics({ topics: [topic], partitions, replicas });
  await admin.close();
  const connect = () => ({
    plain: new Producer({ ...client, idempotent: true }),
    transactional: new Producer({ ...client, idempotent: true, transactionalId: `orders-${topic}` }),
  });
  let { plain, transactional } = connect();
  const produced: OrderRow[] = [];
  const start = Date.now() - 3_600_000;
  let next = 0;
  let poison = 0;

  function message(value: string): { topic: string; partition: number; value: Buffer } {
    return { topic, partition: next % partitions, value: Buffer.from(value) };
  }
  function order(): OrderRow {
    const n = next++;
    // Half of all orders are one customer's.
    const customer = n % 2 === 0 ? "c0" : `c${(n * 7919) % 61}`;
    return [n, customer, `s${(n * 31) % 7}`, (n % 1_000) / 4, start + n];
  }
  function text([n, customer, shop, amount, at]: OrderRow): string {
    return JSON.stringify({ n, customer, shop, amount, at: new Date(at).toISOString() });
  }
  function orders(count: number): OrderRow[] {
    return Array.from({ length: count }, order);
  }

  async function close(): Promise<void> {
    await plain.close(true);
    await transactional.close(true);
  }

  return {
    topic,
    produced,
    get poison() {
      return poison;
    },
    async send(count) {
      for (let sent = 0; sent < count; ) {
        const size = Math.min(100, count - sent);
        sent += size;
        const rows = orders(size);
        const messages = rows.map((row) => {
          return { ...message(text(row)), partition: row[0] % partitions };
        });
        const inTransaction = rows[0]![0] % 400 === 0;
        if (inTransaction) {
          const aborted = await transactional.beginTransaction();
          await aborted.send({
            messages: orders(20).map((row) => ({ ...message(text(row)), partition: row[0] % partitions })),
          });
          await aborted.abort();
          const transaction = await transactional.beginTransaction();
          await transaction.send({ messages });
          await transaction.commit();
        } else {
          poison++;
          await plain.send({ messages: [...messages, message("{ this is no order")], acks: -1 });
        }
        produced.push(...rows);
      }
    },
    async settle() {
      await close();
      const watching = new Admin(client);
      for (const deadline = Date.now() + 60_000; Date.now() < deadline; ) {
        const known = await watching.metadata({ topics: [topic], forceUpdate: true }).catch(() => null);
        const found = known?.topics.get(topic)?.partitions ?? [];
        if (found.length === partitions && found.every(({ isr }) => isr.length === replicas)) break;
        await pause(200);
      }
      await watching.close();
      ({ plain, transactional } = connect());
    },
    close,
  };
}
