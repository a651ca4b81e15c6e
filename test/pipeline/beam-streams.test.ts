import { expect, it } from "vitest";
import { resolveDeadLetters } from "../../src/config/dead-letter-config.ts";
import type { StreamConnector } from "../../src/definitions/connector.ts";
import { avro, decodeWith, type EventFormat, json } from "../../src/definitions/format.ts";
import {
  count,
  entity,
  featureView,
  kafka,
  kinesis,
  memory,
  pubsub,
  streamSource,
  t,
} from "../../src/definitions/index.ts";
import { Meta } from "../../src/definitions/meta.ts";
import { type BeamJobOptions, beamJob } from "../../src/pipeline/beam-jobs.ts";
import { beamParts, beamStream } from "../../src/pipeline/beam-streams.ts";

const user = entity("user", { user: t.string() });

function viewOf(stream: StreamConnector, format: EventFormat = json()) {
  const source = streamSource("clicks", {
    ...{ stream, format, eventTime: "at", lateness: "1m" },
    schema: { user: t.string(), at: t.timestamp() },
  });
  return featureView("clicking", { source, entity: user, features: { n: count().over("1h") } })[Meta];
}
const sourceOf = (stream: StreamConnector) => viewOf(stream).source;

it("names a stream of Kinesis and where it begins, with credentials of its own or none", () => {
  const credentials = { accessKeyId: "id", secretAccessKey: "secret", sessionToken: "token" };
  const arn = "arn:aws:kinesis:eu-west-1:123456789012:stream/clicks";
  expect(
    beamStream(sourceOf(kinesis({ stream: arn })), { kinesis: { region: "eu-west-1", credentials } }, null),
  ).toEqual({
    ...{ clock: "wall", lateness_ms: 60_000 },
    messages: { bytes: false, headers: false, registry: false, gzip_by_first_bytes: true },
    kinesis: {
      ...{ stream: "clicks", region: "eu-west-1", from: "TRIM_HORIZON" },
      credentials: { access_key_id: "id", secret_access_key: "secret", session_token: "token" },
    },
  });
  const latest = sourceOf(kinesis({ stream: "clicks", start: "latest" }));
  expect(beamStream(latest, {}, null)).toMatchObject({ kinesis: { from: "LATEST" } });
  expect(beamStream(latest, {}, 5)).toMatchObject({ kinesis: { from: 5 } });
  const moment = sourceOf(kinesis({ stream: "clicks", start: new Date(7) }));
  expect(beamStream(moment, {}, null)).toMatchObject({ kinesis: { from: 7 } });
});

it("names a subscription of Pub/Sub with its project, and refuses one without", () => {
  const short = sourceOf(pubsub({ subscription: "clicks", idempotencyWindow: "2d" }));
  expect(beamStream(short, { pubsub: { projectId: "p", emulator: "localhost:1" } }, null)).toMatchObject({
    pubsub: { subscription: "projects/p/subscriptions/clicks", emulator: "localhost:1", remember_ms: 172_800_000 },
  });
  const whole = sourceOf(pubsub({ subscription: "projects/q/subscriptions/clicks" }));
  expect(beamStream(whole, {}, null)).toMatchObject({ pubsub: { subscription: "projects/q/subscriptions/clicks" } });
  expect(() => beamStream(short, {}, null)).toThrow(expect.objectContaining({ code: "BEAM_SOURCE_UNSUPPORTED" }));
});

it("refuses what Beam does not stream, and a Kafka cluster that is not configured", () => {
  expect(() => beamStream(sourceOf(memory()), {}, null)).toThrow(
    expect.objectContaining({ code: "BEAM_SOURCE_UNSUPPORTED" }),
  );
  expect(() => beamStream(sourceOf(kafka({ topic: "x" })), {}, null)).toThrow(
    expect.objectContaining({ code: "BEAM_KAFKA_UNSUPPORTED" }),
  );
});

function jobOf(stream: StreamConnector, format: EventFormat, more: Partial<BeamJobOptions> = {}) {
  const view = viewOf(stream, format);
  const connections = { kafka: { default: { brokers: ["kafka:9092"] } } };
  return beamJob({
    declarations: { entities: [view.entity], services: [], models: [], sources: [view.source], views: [view] },
    online: { store: "redis", cluster: ["a:1", "b:2"], password: "secret" },
    offline: { store: "postgres", url: "postgres://u:p@host/db", tls: true },
    ...{ generation: 1, script: "" },
    sources: [{ source: view.source, input: beamStream(view.source, connections, null) }],
    ...more,
  });
}

it("names the keys of each shard of a cluster, and how certificates are verified", () => {
  const { online, history } = jobOf(kafka({ topic: "x" }), json());
  expect(online).toMatchObject({
    cluster: true,
    nodes: [
      { host: "a", port: 1 },
      { host: "b", port: 2 },
    ],
    tls: null,
  });
  expect(online.writers).toHaveLength(128);
  expect(online.views[0]!.prefixes).toHaveLength(128);
  expect(history!.tls).toEqual({ verify: true });
  const tls = { ca: "PEM", rejectUnauthorized: false };
  const single = jobOf(kafka({ topic: "x" }), json(), { online: { store: "redis", url: "rediss://host:7/3", tls } });
  expect(single.online).toMatchObject({
    database: 3,
    tls: { ca: "PEM", verify: false },
    nodes: [{ host: "host", port: 7 }],
  });
  const named = { store: "redis", url: "rediss://host", tls: { servername: "x" } } as const;
  expect(() => jobOf(kafka({ topic: "x" }), json(), { online: named })).toThrow(
    expect.objectContaining({ code: "BEAM_STORE_UNSUPPORTED" }),
  );
});

it("gives a job each source's threshold of bad messages", () => {
  const of = (more: Partial<BeamJobOptions>) => jobOf(kafka({ topic: "x" }), json(), more).dead_letters;
  expect(of({})).toEqual([{ most: 500, over: 1_000 }]);
  expect(of({ deadLetters: resolveDeadLetters({ share: 0.29, over: 100 }, {}) })).toEqual([{ most: 29, over: 100 }]);
});

it("refuses a decoder of one's own, and a registry that is not configured", () => {
  const own = decodeWith(() => ({}));
  expect(() => jobOf(kafka({ topic: "x" }), own)).toThrow(expect.objectContaining({ code: "BEAM_FORMAT_UNSUPPORTED" }));
  const named = avro({ registry: true });
  expect(() => jobOf(kafka({ topic: "x" }), named)).toThrow(
    expect.objectContaining({ code: "SCHEMA_REGISTRY_MISSING" }),
  );
  const schemaRegistry = { url: "http://registry", username: "u", password: "p" };
  expect(jobOf(kafka({ topic: "x" }), named, { schemaRegistry }).registry).toEqual(schemaRegistry);
});

it("builds the host with the parts that a job needs", () => {
  const { source } = viewOf(kinesis({ stream: "x" }));
  expect(beamParts([{ source, input: beamStream(source, {}, null) }], undefined)).toEqual(["kinesis"]);
  const files = [{ path: "a.parquet", format: "parquet", partition: "p", select: "" } as const];
  expect(beamParts([{ source, input: { files } }], undefined)).toEqual(["parquet"]);
  expect(beamParts([{ source, input: { files: [] } }], "folder")).toEqual(["parquet"]);
  // Amazon's part has its file system too, and so has Google's.
  expect(beamParts([{ source, input: { files: [] } }], "s3://lake/events")).toEqual(["kinesis", "parquet"]);
  expect(beamParts([{ source, input: { files: [] } }], "gs://lake/events")).toEqual(["parquet", "pubsub"]);
});
