import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Admin, Producer } from "@platformatic/kafka";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { KafkaConnectionOptions, KafkaSasl } from "../src/ingestion/sources/kafka-options.ts";
import { kafkaSource } from "../src/ingestion/sources/kafka-source.ts";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";

const PASSWORD = "s3cret-of-alice";
const username = "alice";
const TOPIC = "guarded";
let cluster: KafkaCluster;
let folder: string;
let groups = 0;

beforeAll(async () => {
  cluster = await kafkaCluster({ users: { [username]: PASSWORD } });
  folder = await mkdtemp(join(tmpdir(), "millrace-kafka-security-"));
  const client = { clientId: "tests", bootstrapBrokers: [...cluster.brokers] };
  const admin = new Admin(client);
  await admin.createTopics({ topics: [TOPIC], partitions: 1, replicas: 1 });
  await admin.close();
  const producer = new Producer({ ...client, idempotent: true });
  await producer.send({ messages: [{ topic: TOPIC, partition: 0, value: Buffer.from("hello") }] as never, acks: -1 });
  await producer.close();
});
afterAll(async () => {
  await cluster?.close();
  await rm(folder, { recursive: true, force: true });
});

/** A token as the brokers' unsecured mode takes it: signed by nobody. */
function token(): string {
  const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  const now = Math.floor(Date.now() / 1_000);
  return `${part({ alg: "none" })}.${part({ sub: username, iat: now, exp: now + 3_600 })}.`;
}

/** The first message that a source with these options gives. */
async function firstText(options: Partial<KafkaConnectionOptions>): Promise<string> {
  const source = kafkaSource({
    brokers: cluster.secure!.brokers,
    tls: { ca: cluster.secure!.ca },
    topics: [TOPIC],
    groupId: `g${groups++}`,
    ...options,
  });
  try {
    await source.open(async () => ({ offset: -1, cursor: null }));
    const batch = await source.fetch(10, AbortSignal.timeout(30_000));
    return Buffer.from(batch!.messages[0]!.value as Uint8Array).toString();
  } finally {
    await source.close();
  }
}

describe("a Kafka source on TLS", () => {
  for (const mechanism of ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] as const) {
    it(`reads as a user with a password, by ${mechanism}`, async () => {
      expect(await firstText({ sasl: { mechanism, username, password: PASSWORD } })).toBe("hello");
    });

    it(`is refused with a wrong password, by ${mechanism}, and does not tell it`, async () => {
      const sasl: KafkaSasl = { mechanism, username, password: "wrong-and-s3cret" };
      const error = await firstText({ sasl }).then(String, (cause: unknown) => cause);
      expect(error).toMatchObject({ code: "KAFKA_DENIED", kind: "user" });
      const { cause, stack } = error as Error;
      expect(`${JSON.stringify(error)} ${String(error)} ${stack} ${JSON.stringify(cause) ?? ""}`).not.toContain(
        "wrong-and-s3cret",
      );
    });
  }

  it("reads with a token, or with one that a file holds", async () => {
    expect(await firstText({ sasl: { mechanism: "OAUTHBEARER", token: token() } })).toBe("hello");
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, `${token()}\n`);
    expect(await firstText({ sasl: { mechanism: "OAUTHBEARER", tokenFile } })).toBe("hello");
  });

  it("is refused with a token that is none", async () => {
    await expect(firstText({ sasl: { mechanism: "OAUTHBEARER", token: "nonsense" } })).rejects.toMatchObject({
      code: "KAFKA_DENIED",
    });
  });

  it("is refused a topic that its user may not read", async () => {
    const guarded = await kafkaCluster({
      users: { [username]: PASSWORD },
      properties: {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
      },
    });
    try {
      const admin = new Admin({ clientId: "tests", bootstrapBrokers: [...guarded.brokers] });
      await admin.createTopics({ topics: ["private"], partitions: 1, replicas: 1 });
      // It may see the topic and join the group, and not read.
      await admin.createAcls({
        creations: [
          { type: 2, name: "private", operation: 8 },
          { type: 3, name: "readers", operation: 3 },
        ].map(({ type, name, operation }) => ({
          resourceType: type,
          resourceName: name,
          resourcePatternType: 3,
          principal: `User:${username}`,
          host: "*",
          operation,
          permissionType: 3,
        })),
      } as never);
      await admin.close();
      const source = kafkaSource({
        brokers: guarded.secure!.brokers,
        tls: { ca: guarded.secure!.ca },
        sasl: { mechanism: "PLAIN", username, password: PASSWORD },
        topics: ["private"],
        groupId: "readers",
      });
      const read = async (): Promise<void> => {
        await source.open(async () => ({ offset: -1, cursor: null }));
        await source.fetch(10, AbortSignal.timeout(30_000));
      };
      await expect(read()).rejects.toMatchObject({ code: "KAFKA_DENIED", kind: "user" });
      await source.close();
    } finally {
      await guarded.close();
    }
  });

  it("trusts no authority but those that it is given", async () => {
    await expect(
      firstText({ tls: true, sasl: { mechanism: "PLAIN", username, password: PASSWORD } }),
    ).rejects.toMatchObject({ code: "KAFKA_UNAVAILABLE", message: expect.stringMatching(/certificate/i) });
  });
});

describe("a Kafka source on TLS with certificates of both sides", () => {
  let guarded: KafkaCluster;
  beforeAll(async () => {
    guarded = await kafkaCluster({ mutualTls: true });
    const admin = new Admin({ clientId: "tests", bootstrapBrokers: [...guarded.brokers] });
    await admin.createTopics({ topics: [TOPIC], partitions: 1, replicas: 1 });
    await admin.close();
    const producer = new Producer({ clientId: "tests", bootstrapBrokers: [...guarded.brokers], idempotent: true });
    await producer.send({ messages: [{ topic: TOPIC, partition: 0, value: Buffer.from("hello") }] as never, acks: -1 });
    await producer.close();
  });
  afterAll(async () => {
    await guarded?.close();
  });

  it("reads with its certificate", async () => {
    const { brokers, ca, client } = guarded.secure!;
    expect(await firstText({ brokers, tls: { ca, ...client } })).toBe("hello");
  });

  it("is refused without one, and with another's", async () => {
    const { brokers, ca } = guarded.secure!;
    for (const client of [{}, cluster.secure!.client]) {
      await expect(firstText({ brokers, tls: { ca, ...client } })).rejects.toMatchObject({
        code: expect.stringMatching(/^KAFKA_(DENIED|UNAVAILABLE)$/),
        message: expect.stringMatching(/certificate|TLS|SSL|alert/i),
      });
    }
  });
});
