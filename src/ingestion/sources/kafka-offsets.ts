import { connectionOptions, EARLIEST, importKafka, LATEST } from "./kafka-client.ts";
import { kafkaError } from "./kafka-errors.ts";
import type { KafkaSourceOptions } from "./kafka-options.ts";

/** What a partition has, and where a moment is in it. */
export interface KafkaOffsets {
  /** `topic:index`. */
  readonly partition: string;
  readonly first: number;
  /** The offset that its next message will have. */
  readonly end: number;
  /** Of the first message that was taken at the moment or later; the end if there is none. */
  readonly at: number;
}

/**
 * Looks up where a moment (epoch milliseconds) is in each partition of the topics, without joining the group.
 * @throws `KAFKA_UNAVAILABLE`, `KAFKA_DENIED`, `KAFKA_TOPIC_UNKNOWN`, `PACKAGE_MISSING`
 */
export async function kafkaOffsets(
  options: KafkaSourceOptions,
  moment: "earliest" | "latest" | number,
): Promise<readonly KafkaOffsets[]> {
  const client = await importKafka();
  const topics = [...options.topics];
  const consumer = new client.Consumer({
    ...connectionOptions(options),
    groupId: options.groupId,
    retries: 1,
  } as ConstructorParameters<typeof client.Consumer>[0]);
  try {
    await consumer.metadata({ topics });
    const [first, end, at] = await Promise.all(
      [EARLIEST, LATEST, moment === "earliest" ? EARLIEST : moment === "latest" ? LATEST : BigInt(moment)].map(
        (timestamp) => consumer.listOffsets({ topics, timestamp }),
      ),
    );
    return topics.flatMap((topic) =>
      end!.get(topic)!.map((last, index): KafkaOffsets => {
        const found = at!.get(topic)![index]!;
        return {
          partition: `${topic}:${index}`,
          first: Number(first!.get(topic)![index]!),
          end: Number(last),
          at: Number(found < 0n ? last : found),
        };
      }),
    );
  } catch (cause) {
    throw kafkaError(cause, options.brokers, "looking up where a moment is");
  } finally {
    await Promise.resolve(consumer.close(true)).catch(() => {});
  }
}
