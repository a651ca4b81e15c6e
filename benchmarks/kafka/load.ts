import { Admin, Producer } from "@platformatic/kafka";

export interface Load {
  readonly topic: string;
  readonly partitions: number;
  readonly events: number;
  /** Of one message's value, about. */
  readonly bytes: number;
  readonly entities: number;
  /** How often each entity comes: all alike, or by Zipf's law with exponent 1. */
  readonly keys: "uniform" | "zipf";
}

const BATCH = 2_000;

/** Fills a new topic with payments, round robin over its partitions; repeatable. */
export async function produceLoad(brokers: readonly string[], load: Load): Promise<void> {
  const client = { clientId: "load", bootstrapBrokers: [...brokers] };
  const admin = new Admin(client);
  await admin.createTopics({ topics: [load.topic], partitions: load.partitions, replicas: 1 });
  await admin.close();
  const producer = new Producer(client);
  const payment = payments(load);
  for (let from = 0; from < load.events; from += BATCH) {
    const messages = Array.from({ length: Math.min(BATCH, load.events - from) }, (_, i) => ({
      topic: load.topic,
      partition: (from + i) % load.partitions,
      value: Buffer.from(payment(from + i)),
    }));
    await producer.send({ messages: messages as never, acks: 1 });
  }
  await producer.close();
}

/** The text of the n-th payment; to be asked in order. */
export function payments({ entities, keys, bytes }: Pick<Load, "entities" | "keys" | "bytes">): (n: number) => string {
  let state = 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 4_294_967_296;
  };
  const draw = keys === "uniform" ? (): number => Math.floor(random() * entities) : zipf(entities, random);
  const start = Date.UTC(2026, 0, 1);
  return (n) => {
    const payment = {
      payment_id: `p${n}`,
      card_id: `card-${draw()}`,
      merchant_id: `merchant-${draw()}`,
      device_id: `device-${draw()}`,
      amount: Math.floor(random() * 50_000) / 100,
      country: "BE",
      at: new Date(start + n * 5).toISOString(),
      note: "",
    };
    const text = JSON.stringify(payment);
    return text.length >= bytes ? text : `${text.slice(0, -2)}${"x".repeat(bytes - text.length)}"}`;
  };
}

function zipf(entities: number, random: () => number): () => number {
  const upTo = new Float64Array(entities);
  let sum = 0;
  for (let rank = 0; rank < entities; rank++) {
    sum += 1 / (rank + 1);
    upTo[rank] = sum;
  }
  return () => {
    const wanted = random() * sum;
    let low = 0;
    let high = entities - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! < wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
