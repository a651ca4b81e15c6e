import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { MillraceConfig } from "../../src/config/config.ts";
import { loadConfig, resolveConfig } from "../../src/config/resolve-config.ts";
import { isMillraceError } from "../../src/definitions/errors.ts";

const SECRET = "planted-Secret-7";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "millrace-config-"));
  writeFileSync(join(folder, "features.ts"), "");
});
afterAll(() => rmSync(folder, { recursive: true }));

const resolved = (config: object, env: Readonly<Record<string, string>> = {}) =>
  resolveConfig({ declarations: "./features.ts", ...config } as MillraceConfig, folder, env);

/** The message with which the configuration is refused. */
function refusal(config: object, env: Readonly<Record<string, string>> = {}): string {
  try {
    resolved(config, env);
  } catch (error) {
    expect(isMillraceError(error) && error.code).toBe("CONFIG_INVALID");
    expect(String(error)).not.toContain(SECRET);
    return (error as Error).message;
  }
  throw new Error(`${JSON.stringify(config)} was taken`);
}

describe("a configuration", () => {
  it("is taken with all that is documented of Beam and of connections", () => {
    const { beam, connections } = resolved({
      beam: { sources: ["payments"], options: [], state: "s3://b/m", parquet: "s3://lake/events", engine: "graal" },
      connections: {
        kafka: {
          default: {
            brokers: ["k:9092", "[::1]:9092"],
            clientId: "c",
            tls: { ca: "PEM", serverName: "k" },
            sasl: { mechanism: "PLAIN", username: "u", password: "" },
            groupId: "g",
            groupProtocol: "consumer",
            sessionTimeoutMs: 10_000,
          },
          other: { brokers: ["k:9092"], tls: true, sasl: { mechanism: "OAUTHBEARER", tokenFile: "/t" } },
        },
        kinesis: { region: "eu-west-1", credentials: { accessKeyId: "a", secretAccessKey: "b" } },
        pubsub: { projectId: "p", emulator: "h:1", maxOutstanding: 10, maxOutstandingBytes: 1_000 },
        schemaRegistry: { url: "https://registry:8081/apis/ccompat/v7", username: "u", password: "p", timeoutMs: 10 },
        mlflow: { default: { url: "https://m/prefix", auth: { token: "t" }, tls: { rejectUnauthorized: false } } },
        scoring: { default: { url: "http://s/{version}", timeoutMs: 500, retries: 1, breakerOpenMs: 5 } },
      },
    });
    expect(beam.parquet).toBe("s3://lake/events");
    expect(connections.kafka?.other?.tls).toBe(true);
  });

  it("names the value that is wrong, says what it must be, and shows none that may be a secret", () => {
    const kafka = (cluster: unknown) => ({ connections: { kafka: { default: cluster } } });
    const brokers = ["k:9092"];
    const wrong: readonly [config: object, name: string, expected: string][] = [
      [{ online: `redis://u:${SECRET}@h` }, "online", "redis("],
      [{ online: {} }, "online", "redis("],
      [{ offline: [] }, "offline", "postgres("],
      [{ offline: null }, "offline", "postgres("],
      [{ server: [] }, "server", "an object"],
      [{ server: { port: 80.5 } }, "server.port", "a whole number from 0 to 65535"],
      [{ server: { maxRows: 0.5 } }, "server.maxRows", "a whole number"],
      [{ server: { host: " " } }, "server.host", "not an empty one"],
      [{ data: "a\0b" }, "data", "a text"],
      [{ history: { threads: 1.5 } }, "history.threads", "a whole number"],
      [{ replay: { speed: true } }, "replay.speed", "a number"],
      [{ constructor: ["x"] }, "constructor", "known here"],
      [{ toString: {} }, "toString", "known here"],
      [{ connections: { kafkas: {} } }, "connections.kafkas", "known here"],
      [{ connections: { kafka: "k:9092" } }, "connections.kafka", "an object by name"],
      [kafka(null), "connections.kafka.default", "an object"],
      [kafka("k:9092"), "connections.kafka.default", "an object"],
      [kafka({ brokers, tsl: true }), "connections.kafka.default.tsl", "known here"],
      [kafka({ brokers, tls: "true" }), "connections.kafka.default.tls", "true, false"],
      [kafka({ brokers, tls: { ca: 5 } }), "connections.kafka.default.tls.ca", "a text"],
      [kafka({ brokers, sasl: SECRET }), "connections.kafka.default.sasl", "an object"],
      [kafka({ brokers, sasl: { mechanism: "GSSAPI" } }), "connections.kafka.default.sasl.mechanism", "one of PLAIN"],
      [
        kafka({ brokers, sasl: { mechanism: "PLAIN", password: SECRET } }),
        "connections.kafka.default.sasl",
        "username",
      ],
      [
        kafka({ brokers, sasl: { mechanism: "OAUTHBEARER", token: SECRET, tokenFile: "f" } }),
        "connections.kafka.default.sasl",
        "a tokenFile",
      ],
      [kafka({ brokers: [null] }), "connections.kafka.default.brokers", "host:port"],
      [kafka({ brokers, sessionTimeoutMs: "10s" }), "connections.kafka.default.sessionTimeoutMs", "a whole number"],
      [{ connections: { kinesis: { region: "" } } }, "connections.kinesis.region", "a text"],
      [{ connections: { kinesis: { credentials: SECRET } } }, "connections.kinesis.credentials", "an object"],
      [{ connections: { pubsub: { project: "p" } } }, "connections.pubsub.project", "known here"],
      [{ connections: { schemaRegistry: {} } }, "connections.schemaRegistry.url", "an http or https URL"],
      [{ connections: { schemaRegistry: { url: `http://u:${SECRET}@h` } } }, "schemaRegistry.url", "without a user"],
      [{ connections: { mlflow: { a: null } } }, "connections.mlflow.a", "an object"],
      [{ connections: { mlflow: { a: { url: "http://h", auth: null } } } }, "connections.mlflow.a.auth", "{ token }"],
      [{ connections: { mlflow: { a: { url: "http://h", tls: true } } } }, "connections.mlflow.a.tls", "PEM"],
      [{ connections: { scoring: { a: { url: "http://h", retry: 1 } } } }, "connections.scoring.a.retry", "known here"],
    ];
    for (const [config, name, expected] of wrong) {
      const message = refusal(config);
      expect(message).toContain(name);
      expect(message).toContain(expected);
    }
  });

  it("refuses a variable of the schema registry that holds a password in its URL, without showing it", () => {
    expect(refusal({}, { MILLRACE_SCHEMA_REGISTRY_URL: `https://u:${SECRET}@registry` })).toContain(
      "MILLRACE_SCHEMA_REGISTRY_URL",
    );
  });

  it("is an object, and nothing else, that the file exports", async () => {
    for (const [i, text] of ["[]", "5", "null", "() => ({})"].entries()) {
      const file = join(folder, `config-${i}.ts`);
      writeFileSync(file, `export default ${text};\n`);
      await expect(loadConfig(file, {})).rejects.toMatchObject({ code: "CONFIG_INVALID" });
    }
  });
});
