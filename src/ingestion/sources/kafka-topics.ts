import { connectionOptions, importKafka } from "./kafka-client.ts";
import { kafkaError } from "./kafka-errors.ts";
import type { KafkaSourceOptions } from "./kafka-options.ts";

/**
 * Asks the cluster for the topics of a source that something else reads, before that is started.
 * @throws `KAFKA_UNAVAILABLE`, `KAFKA_DENIED`, `KAFKA_TOPIC_UNKNOWN`, `PACKAGE_MISSING`
 */
export async function checkKafkaTopics(
  options: Pick<KafkaSourceOptions, "brokers" | "tls" | "sasl" | "topics">,
): Promise<void> {
  const { Admin } = await importKafka();
  const admin = new Admin({ ...connectionOptions(options), retries: 1 } as ConstructorParameters<typeof Admin>[0]);
  try {
    await admin.metadata({ topics: [...options.topics] });
  } catch (cause) {
    throw kafkaError(
      cause,
      options.brokers,
      `asking for ${options.topics.join(", ")}`,
      options.tls !== undefined && options.tls !== false,
    );
  } finally {
    await Promise.resolve(admin.close()).catch(() => {});
  }
}
