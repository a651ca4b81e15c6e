/** One source whose windows cover every event: one lost or counted twice shows at the end. */
import type { ConnectionsConfig } from "../../src/config/connections.ts";
import { collectDeclarations, type Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import {
  count,
  countDistinct,
  entity,
  featureView,
  kafka,
  kinesis,
  lastN,
  latest,
  max,
  mean,
  pubsub,
  stddev,
  streamSource,
  sum,
  t,
} from "../../src/index.ts";

const windows = ["24h", "90d"] as const;

/** Where the orders come from. */
export type OrderStream =
  | { readonly transport: "kafka"; readonly topic: string }
  | { readonly transport: "kinesis"; readonly stream: string }
  | { readonly transport: "pubsub"; readonly subscription: string };

function connectorOf(stream: OrderStream) {
  switch (stream.transport) {
    case "kafka":
      return kafka({ topic: stream.topic });
    case "kinesis":
      return kinesis({ stream: stream.stream });
    case "pubsub":
      return pubsub({ subscription: stream.subscription });
  }
}

export function declareOrders(stream: OrderStream): Declarations {
  const orders = streamSource("orders", {
    stream: connectorOf(stream),
    eventTime: "at",
    lateness: "1m",
    schema: { n: t.int32(), customer: t.string(), shop: t.string(), amount: t.float64(), at: t.timestamp() },
  });
  const customer = entity("customer", { customer: t.string() });
  const shop = entity("shop", { shop: t.string() });
  return collectDeclarations({
    orders,
    byCustomer: featureView("by_customer", {
      source: orders,
      entity: customer,
      features: {
        n: count().over(windows),
        spend: sum(orders.amount).over(windows),
        spread: stddev(orders.amount).over("90d"),
        shops: countDistinct(orders.shop).over("90d"),
        last: latest(orders.n),
      },
    }),
    byShop: featureView("by_shop", {
      source: orders,
      entity: shop,
      features: {
        n: count().over(windows),
        mean_amount: mean(orders.amount).over("90d"),
        largest: max(orders.amount).over(windows),
        last: lastN(orders.n, 3),
      },
    }),
  });
}

/** Of consumers that are killed now and then: the brokers notice it soon. */
export function kafkaConnections(
  brokers: readonly string[],
  groupId: string,
  groupProtocol: "classic" | "consumer" = "classic",
): ConnectionsConfig {
  return { kafka: { default: { brokers, groupId, sessionTimeoutMs: 2_000, groupProtocol } } };
}
