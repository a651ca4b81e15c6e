import { expect, it } from "vitest";
import { kafka, kinesis, streamSource, t } from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";
import { isAtEnd } from "../../src/pipeline/catch-up.ts";

const from = (stream: Parameters<typeof streamSource>[1]["stream"]) =>
  streamSource("orders", { stream, eventTime: "at", lateness: "1m", schema: { at: t.timestamp() } })[Meta];
const ofKafka = from(kafka({ topic: "orders" }));
const ofKinesis = from(kinesis({ stream: "orders" }));

it("takes a partition of Kafka for read only while its messages are counted, and none is left", () => {
  expect(isAtEnd(ofKafka, { lagMessages: 0, lagSeconds: 0 })).toBe(true);
  expect(isAtEnd(ofKafka, { lagMessages: 1, lagSeconds: 0 })).toBe(false);
  expect(isAtEnd(ofKafka, { lagMessages: null, lagSeconds: 0.5 })).toBe(false);
});

it("takes a shard for read whose next message is young", () => {
  expect(isAtEnd(ofKinesis, { lagMessages: null, lagSeconds: 0.5 })).toBe(true);
  expect(isAtEnd(ofKinesis, { lagMessages: null, lagSeconds: 30 })).toBe(false);
  expect(isAtEnd(ofKinesis, { lagMessages: null, lagSeconds: null })).toBe(false);
});
