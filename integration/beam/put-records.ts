import {
  CreateStreamCommand,
  DescribeStreamSummaryCommand,
  KinesisClient,
  PutRecordsCommand,
} from "@aws-sdk/client-kinesis";
import { PubSub } from "@google-cloud/pubsub";
import { NodeHttpHandler } from "@smithy/node-http-handler";

/** What a stand-in for Kinesis takes. */
export const KINESIS_CREDENTIALS = { accessKeyId: "test", secretAccessKey: "test" };
export const KINESIS_REGION = "eu-west-1";

const PAUSE_MS = 20;

/** Makes a stream of Kinesis, and puts records into it, each by its key. */
export async function putKinesis(
  endpoint: string,
  stream: string,
  shards: number,
  records: readonly { readonly key: string; readonly data: Uint8Array }[],
): Promise<void> {
  const client = new KinesisClient({
    ...{ region: KINESIS_REGION, endpoint, credentials: KINESIS_CREDENTIALS },
    requestHandler: new NodeHttpHandler(),
  });
  await client.send(new CreateStreamCommand({ StreamName: stream, ShardCount: shards }));
  for (;;) {
    const { StreamDescriptionSummary: summary } = await client.send(
      new DescribeStreamSummaryCommand({ StreamName: stream }),
    );
    if (summary?.StreamStatus === "ACTIVE") break;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  await client.send(
    new PutRecordsCommand({
      StreamName: stream,
      Records: records.map(({ key, data }) => ({ Data: data, PartitionKey: key })),
    }),
  );
  client.destroy();
}

/** Makes a topic of Pub/Sub with a subscription of the same name, and publishes to it. */
export async function publish(
  emulator: string,
  project: string,
  name: string,
  messages: readonly { readonly data: Uint8Array; readonly attributes?: Readonly<Record<string, string>> }[],
): Promise<void> {
  const client = new PubSub({ projectId: project, apiEndpoint: emulator, emulatorMode: true });
  await client.createTopic(name);
  const topic = client.topic(name);
  await topic.createSubscription(name, { ackDeadlineSeconds: 10 });
  await Promise.all(
    messages.map(({ data, attributes = {} }) => topic.publishMessage({ data: Buffer.from(data), attributes })),
  );
  await client.close();
}
