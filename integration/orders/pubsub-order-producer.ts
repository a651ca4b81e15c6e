import { PubSub } from "@google-cloud/pubsub";
import type { OrderRow } from "./check-orders.ts";
import { type OrderProducer, orderRows, orderText, POISON } from "./order-producer.ts";

export interface PubsubOrderProducer extends OrderProducer {
  /** Takes messages of the subscription and gives each back at once, until the returned function is called. */
  nackAll(): () => Promise<void>;
}

export async function pubsubOrderProducer(
  address: string,
  { subscription, ackDeadlineSeconds }: { readonly subscription: string; readonly ackDeadlineSeconds: number },
): Promise<PubsubOrderProducer> {
  // Google's client would look for a machine of Google's.
  process.env.METADATA_SERVER_DETECTION = "none";
  const client = new PubSub({ projectId: "tests", apiEndpoint: address, emulatorMode: true });
  await client.createTopic(subscription);
  const topic = client.topic(subscription, { batching: { maxMessages: 100, maxMilliseconds: 10 } });
  await topic.createSubscription(subscription, { ackDeadlineSeconds });
  const rows = orderRows();
  const produced: OrderRow[] = [];
  let poison = 0;
  return {
    stream: { transport: "pubsub", subscription },
    produced,
    get poison() {
      return poison;
    },
    async send(count) {
      for (let sent = 0; sent < count; ) {
        const orders = rows.next(Math.min(100, count - sent));
        sent += orders.length;
        poison++;
        const texts = [...orders.map(orderText), POISON];
        await Promise.all(texts.map((text) => topic.publishMessage({ data: Buffer.from(text) })));
        produced.push(...orders);
      }
    },
    nackAll() {
      const other = client.subscription(subscription, { flowControl: { maxMessages: 200 } });
      other.on("message", (message) => message.nack());
      other.on("error", () => {});
      return async () => {
        other.removeAllListeners("message");
        await other.close();
      };
    },
    close: async () => {
      await client.close();
    },
  };
}
