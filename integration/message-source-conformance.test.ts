import {
  CreateStreamCommand,
  DeleteStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  PutRecordsCommand,
} from "@aws-sdk/client-kinesis";
import { PubSub } from "@google-cloud/pubsub";
import { Admin, Producer } from "@platformatic/kafka";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { afterAll, beforeAll, expect } from "vitest";
import { describeMessageSource } from "../conformance/message-source-conformance.ts";
import { memoryIdempotencyLog } from "../src/ingestion/idempotency-log.ts";
import { kafkaSource } from "../src/ingestion/sources/kafka-source.ts";
import { kinesisSource } from "../src/ingestion/sources/kinesis-source.ts";
import { pubsubSource } from "../src/ingestion/sources/pubsub-source.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { type KinesisServer, kinesisServer } from "./services/kinesis-server.ts";
import { type PubsubServer, pubsubServer } from "./services/pubsub-server.ts";

const credentials = { accessKeyId: "tests", secretAccessKey: "tests" };
let kafka: KafkaCluster;
let pubsub: PubsubServer;
let producer: Producer;
let google: PubSub;
let names = 0;

beforeAll(async () => {
  process.env.METADATA_SERVER_DETECTION = "none";
  [kafka, pubsub] = await Promise.all([kafkaCluster(), pubsubServer()]);
  producer = new Producer({ clientId: "tests", bootstrapBrokers: [...kafka.brokers], idempotent: true });
  google = new PubSub({ projectId: "tests", apiEndpoint: pubsub.address, emulatorMode: true });
});
afterAll(async () => {
  await producer?.close();
  await google?.close();
  await Promise.all([kafka?.close(), pubsub?.close()]);
});

for (const groupProtocol of ["classic", "consumer"] as const) {
  describeMessageSource(`kafkaSource, ${groupProtocol} group`, {
    capabilities: { monotonePositions: true, endless: true, redelivers: true },
    async make() {
      const topic = `conformance-${names++}`;
      const admin = new Admin({ clientId: "tests", bootstrapBrokers: [...kafka.brokers] });
      await admin.createTopics({ topics: [topic], partitions: 2, replicas: 1 });
      await admin.close();
      const made: { close(): Promise<void> }[] = [];
      return {
        source() {
          const source = kafkaSource({ brokers: kafka.brokers, topics: [topic], groupId: topic, groupProtocol });
          made.push(source);
          return source;
        },
        async send(messages) {
          if (messages.length === 0) return;
          const sent = messages.map((message) => {
            return { topic, partition: message.n % 2, value: Buffer.from(JSON.stringify(message)) };
          });
          await producer.send({ messages: sent as never });
        },
        remove: async () => void (await Promise.all(made.map((source) => source.close()))),
      };
    },
  });
}

for (const kind of ["kinesalite", "moto"] as const) {
  let server: KinesisServer;
  let client: KinesisClient;
  beforeAll(async () => {
    server = await kinesisServer(kind);
    const requestHandler = new NodeHttpHandler();
    client = new KinesisClient({ region: "eu-west-1", endpoint: server.endpoint, credentials, requestHandler });
  });
  afterAll(async () => {
    client?.destroy();
    await server?.close();
  });

  describeMessageSource(`kinesisSource on ${kind}`, {
    capabilities: { monotonePositions: true, endless: true, redelivers: true },
    async make() {
      const stream = `conformance-${names++}`;
      await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: 2 }));
      if (kind === "kinesalite") {
        const status = async (): Promise<string> =>
          (await client.send(new DescribeStreamSummaryCommand({ StreamName: stream }))).StreamDescriptionSummary!
            .StreamStatus!;
        await expect.poll(status, { timeout: 60_000 }).toBe("ACTIVE");
      }
      const made: { close(): Promise<void> }[] = [];
      return {
        source() {
          const { endpoint } = server;
          const source = kinesisSource({
            stream,
            region: "eu-west-1",
            endpoint,
            credentials,
            idleMs: 20,
            balanceMs: 100,
          });
          made.push(source);
          return source;
        },
        async send(messages) {
          if (messages.length === 0) return;
          const records = messages.map((message) => {
            return { Data: Buffer.from(JSON.stringify(message)), PartitionKey: `key ${message.n}` };
          });
          await client.send(new PutRecordsCommand({ StreamName: stream, Records: records }));
        },
        remove: async () => {
          await Promise.all(made.map((source) => source.close()));
          // kinesalite has room for ten shards.
          await client.send(new DeleteStreamCommand({ StreamName: stream }));
        },
      };
    },
  });
}

describeMessageSource("pubsubSource", {
  capabilities: { monotonePositions: false, endless: true, redelivers: true },
  async make() {
    const subscription = `conformance-${names++}`;
    await google.createTopic(subscription);
    const topic = google.topic(subscription);
    await topic.createSubscription(subscription);
    const idempotencyLog = memoryIdempotencyLog();
    const made: { close(): Promise<void> }[] = [];
    return {
      source() {
        const source = pubsubSource({ subscription, projectId: "tests", emulator: pubsub.address, idempotencyLog });
        made.push(source);
        return source;
      },
      send: async (messages) => {
        await Promise.all(messages.map((message) => topic.publishMessage({ json: message })));
      },
      committed: (batch) => idempotencyLog.record(batch.pushes ?? []),
      remove: async () => void (await Promise.all(made.map((source) => source.close()))),
    };
  },
});
