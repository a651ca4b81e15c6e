import { Admin, Producer } from "@platformatic/kafka";

/** A message for a topic (null: a tombstone), and when it arrived. */
export interface ProducedRow {
  readonly value: string | Uint8Array | null;
  readonly headers?: Readonly<Record<string, string>>;
  /** Epoch milliseconds. */
  readonly arrival: number;
  readonly partition: number;
}

const BATCH = 5_000;
/** A batch's times are within this of each other: the client writes wider differences wrong by a millisecond. */
const SPAN_MS = 2 ** 30;

/** Makes a topic if wanted, and produces to it, each partition in order. */
export async function produceRows(
  brokers: readonly string[],
  topic: string,
  rows: readonly ProducedRow[],
  partitions: number | null,
): Promise<void> {
  const client = { clientId: "rows", bootstrapBrokers: [...brokers], retries: 20, retryDelay: 250 };
  if (partitions !== null) {
    const admin = new Admin(client);
    await admin.createTopics({ topics: [topic], partitions, replicas: 1 });
    await admin.close();
  }
  const producer = new Producer({ ...client, idempotent: true });
  try {
    for (let from = 0; from < rows.length; ) {
      const first = rows[from]!.arrival;
      let to = from;
      while (to < rows.length && to < from + BATCH && Math.abs(rows[to]!.arrival - first) < SPAN_MS) to++;
      const messages = rows.slice(from, to).map(({ value, arrival, partition, headers }) => ({
        topic,
        partition,
        ...(value === null ? {} : { value: Buffer.from(value) }),
        timestamp: BigInt(arrival),
        ...(headers === undefined ? {} : { headers: headersOf(headers) }),
      }));
      await producer.send({ messages });
      from = to;
    }
  } finally {
    await producer.close(true);
  }
}

function headersOf(headers: Readonly<Record<string, string>>): Map<Buffer, Buffer> {
  return new Map(Object.entries(headers).map(([name, value]) => [Buffer.from(name), Buffer.from(value)]));
}
