/** One Kafka source whose windows cover every event: one lost or counted twice shows at the end. */
import { collectDeclarations, type Declarations } from "../../src/feature_engineering/plan/collect-declarations.ts";
import {
  count,
  countDistinct,
  entity,
  featureView,
  kafka,
  lastN,
  latest,
  max,
  mean,
  stddev,
  streamSource,
  sum,
  t,
} from "../../src/index.ts";

const windows = ["24h", "90d"] as const;

export function declareOrders(topic: string): Declarations {
  const orders = streamSource("orders", {
    stream: kafka({ topic }),
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
