import { count, entity, featureService, featureView, kafka, requestSource, streamSource, sum, t } from "millrace";

const card = entity("card", { card_id: t.string() });

export const payments = streamSource("payments", {
  stream: kafka({ topic: "payments" }),
  eventTime: "at",
  lateness: "1m",
  id: "payment_id",
  schema: { payment_id: t.string(), card_id: t.string(), amount: t.float64(), at: t.timestamp() },
});

export const spending = featureView("spending", {
  source: payments,
  entity: card,
  features: {
    payments: count().over(["1h", "24h"]),
    spent: sum(payments.amount).over("24h"),
  },
});

const request = requestSource({ amount: t.float64() });

export const fraud = featureService("fraud", {
  features: {
    payments_1h: spending.payments_1h,
    payments_24h: spending.payments_24h,
    spent: spending.spent,
    amount: request.amount,
  },
});
