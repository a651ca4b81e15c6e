import type { ChildProcess } from "node:child_process";
import { createHmac } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { writeModel } from "../test/api/models/write-model.ts";
import { type OtlpReceiver, startOtlpReceiver } from "./services/otlp-receiver.ts";
import { type PostgresServer, startPostgres } from "./services/postgres-server.ts";
import { type RedisServer, startRedis } from "./services/redis-server.ts";
import { spawnService } from "./services/spawn-service.ts";

/** Planted where a secret may stand; what none of the outputs may hold. */
const SECRETS = {
  redis: "planted-in-redis-7c1",
  postgres: "",
  admin: "planted-in-admin-token-7c2",
  mlflowToken: "planted-in-mlflow-7c3",
  mlflowPassword: "planted-in-mlflow-password-7c4",
  webhook: "planted-in-webhook-7c5",
  scoring: "planted-in-scoring-7c6",
  saslPassword: "planted-in-sasl-7c7",
  registry: "planted-in-registry-7c8",
  aws: "planted-in-aws-7c9",
  otel: "planted-in-otel-7d0",
  otelUser: "planted-in-otel-url-7d1",
  wrongToken: "planted-by-a-caller-7d2",
  cookie: "planted-in-a-cookie-7d3",
  query: "planted-in-a-query-7d4",
  apiKey: "",
};
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));

let folder = "";
let redis: RedisServer;
let postgres: PostgresServer;
let receiver: OtlpReceiver;
/** Says again what it was sent, as some proxies do when they fail. */
let echo: Server;
let echoUrl = "";
let environment: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "millrace-secrets-"));
  [redis, postgres, receiver] = await Promise.all([
    startRedis({ password: SECRETS.redis }),
    startPostgres(),
    startOtlpReceiver(),
  ]);
  SECRETS.postgres = postgres.password;
  echo = createServer((request, response) => {
    const said = JSON.stringify({ message: `no: ${request.headers.authorization}`, headers: request.headers });
    response.writeHead(request.method === "POST" ? 400 : 500, { "content-type": "application/json" }).end(said);
  }).listen(0, "127.0.0.1");
  await once(echo, "listening");
  echoUrl = `http://127.0.0.1:${(echo.address() as AddressInfo).port}`;
  const index = JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)));
  await writeModel(join(folder, "models", "1"), { answer: 1, features: ["n", "amount"] });
  await writeFile(
    join(folder, "features.ts"),
    `import { count, entity, featureService, featureView, httpPush, kafka, mlflowModel, model, modelFolder, requestSource, scoringServer, streamSource, t } from ${index};
const schema = { card_id: t.string(), at: t.timestamp() };
const clicks = streamSource("clicks", { stream: httpPush(), eventTime: "at", lateness: "1m", schema });
export const lost = streamSource("lost", { stream: kafka({ topic: "lost" }), eventTime: "at", lateness: "1m", schema });
const card = entity("card", { card_id: t.string() });
export const clicking = featureView("clicking", { source: clicks, entity: card, features: { n: count().over("24h") } });
export const losing = featureView("losing", { source: lost, entity: card, features: { lost: count().over("24h") } });
const request = requestSource({ amount: t.float64() });
export const browsing = featureService("browsing", { features: { n: clicking.n, amount: request.amount } });
const output = { answer: t.float64() };
export const risk = model("risk", { inputs: browsing, output, source: modelFolder(${JSON.stringify(join(folder, "models"))}) });
export const asked = model("asked", { inputs: browsing, output, source: scoringServer({ scoring: "python" }) });
export const kept = model("kept", { inputs: browsing, output, source: mlflowModel({ name: "kept", alias: "champion" }) });
`,
  );
  const url = new URL(postgres.url());
  await writeFile(
    join(folder, "millrace.config.ts"),
    `export default {
  declarations: "./features.ts",
  online: { store: "redis", url: "redis://${redis.host}:${redis.port}", timeoutMs: 500 },
  offline: { store: "postgres", url: ${JSON.stringify(url.href)} },
  connections: {
    kafka: { default: { brokers: ["127.0.0.1:1"] } },
    mlflow: { default: { url: "${echoUrl}", auth: { token: "${SECRETS.mlflowToken}" }, webhookSecret: "${SECRETS.webhook}", retries: 0 },
      other: { url: "${echoUrl}", auth: { username: "somebody", password: "${SECRETS.mlflowPassword}" } } },
    scoring: { python: { url: "${echoUrl}", auth: { token: "${SECRETS.scoring}" } } },
  },
};
`,
  );
  environment = {
    MILLRACE_REDIS_PASSWORD: SECRETS.redis,
    MILLRACE_ADMIN_TOKEN: SECRETS.admin,
    MILLRACE_KAFKA_USERNAME: "somebody",
    MILLRACE_KAFKA_PASSWORD: SECRETS.saslPassword,
    MILLRACE_SCHEMA_REGISTRY_URL: echoUrl,
    MILLRACE_SCHEMA_REGISTRY_USERNAME: "somebody",
    MILLRACE_SCHEMA_REGISTRY_PASSWORD: SECRETS.registry,
    AWS_SECRET_ACCESS_KEY: SECRETS.aws,
    MILLRACE_REQUIRE_KEYS: "true",
    MILLRACE_KEYS_FILE: join(folder, "keys.json"),
    MILLRACE_MODEL_POLL_SECONDS: "1",
    MILLRACE_LOG_LEVEL: "debug",
    MILLRACE_DATA: join(folder, "data"),
    MILLRACE_PORT: "0",
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url.replace("://", `://user:${SECRETS.otelUser}@`),
    OTEL_EXPORTER_OTLP_HEADERS: `authorization=Bearer%20${SECRETS.otel}`,
    OTEL_TRACES_SAMPLER_ARG: "1",
    OTEL_BSP_SCHEDULE_DELAY: "100",
  };
}, 120_000);
afterAll(async () => {
  echo?.close();
  await receiver?.[Symbol.asyncDispose]();
  await redis?.remove();
  await postgres?.stop();
  await rm(folder, { recursive: true, force: true });
});

interface Output {
  readonly child: ChildProcess;
  text(): string;
}

function millrace(commands: readonly string[], more: Readonly<Record<string, string>> = {}): Output {
  const child = spawnService(process.execPath, [MAIN, "--config", join(folder, "millrace.config.ts"), ...commands], {
    env: { ...process.env, ...environment, ...more },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
  }
  return { child, text: () => text };
}

async function ended(output: Output): Promise<string> {
  if (output.child.exitCode === null) await once(output.child, "close");
  return output.text();
}

function planted(text: string): readonly string[] {
  return Object.entries(SECRETS).flatMap(([name, secret]) => (secret !== "" && text.includes(secret) ? [name] : []));
}

describe("no secret is said", () => {
  it.each([
    ["MILLRACE_REDIS_URL", "CONFIG_INVALID", (secret: string) => `redsi://user:${secret}@127.0.0.1`],
    ["MILLRACE_REDIS_PASSWORD", "ONLINE_STORE_UNAVAILABLE", (secret: string) => secret],
    ["MILLRACE_POSTGRES_URL", "CONFIG_INVALID", (secret: string) => `mysql://user:${secret}@127.0.0.1/d`],
    ["MILLRACE_ADMIN_TOKEN", "CONFIG_INVALID", (secret: string) => `${secret} with blanks`],
    ["MILLRACE_KAFKA_SASL_MECHANISM", "CONFIG_INVALID", (secret: string) => `NONE", "password": "${secret}`],
    ["OTEL_EXPORTER_OTLP_ENDPOINT", "CONFIG_INVALID", (secret: string) => `ftp://user:${secret}@127.0.0.1`],
  ])(
    "when %s is wrong, and the server does not start: %s",
    async (variable, code, value) => {
      const secret = "planted-in-what-is-wrong-7e1";
      const environment = { MILLRACE_REQUIRE_KEYS: "false", [variable]: value(secret) };
      const output = millrace(["--debug", "--json", "serve"], environment);
      const said = await ended(output);
      expect(output.child.exitCode).not.toBe(0);
      expect(said).toContain(code);
      expect(said).not.toContain(secret);
      expect(planted(said)).toEqual([]);
    },
    60_000,
  );

  it("while requests are answered and refused, stores go away, and models and sources fail", async () => {
    const made = await ended(millrace(["keys", "create", "--scope", "predict", "read", "push", "admin"]));
    SECRETS.apiKey = /mr_\S+/.exec(made)![0];
    const server = millrace(["serve"]);
    try {
      let url = "";
      await vi.waitFor(() => {
        url = /Millrace serves at (\S+)/.exec(server.text())?.[1] ?? "";
        expect(url, server.text()).not.toBe("");
      }, 60_000);
      const answers: string[] = [];
      const ask = async (
        path: string,
        init: RequestInit & { headers?: Record<string, string> } = {},
      ): Promise<number> => {
        const response = await fetch(new URL(path, url), {
          ...init,
          headers: { authorization: `Bearer ${SECRETS.apiKey}`, cookie: `session=${SECRETS.cookie}`, ...init.headers },
        });
        answers.push(`${path.split("?", 1)[0]}\n${JSON.stringify([...response.headers])}\n${await response.text()}`);
        return response.status;
      };
      const json = { "content-type": "application/json" };
      const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<number> =>
        ask(path, { method: "POST", body: JSON.stringify(body), headers: { ...json, ...headers } });
      const rows = { rows: [{ card_id: "c", amount: 1 }] };
      await vi.waitFor(() => expect(server.text()).toContain("Ready."), 60_000);
      expect(await post("/v1/models/risk/predict", rows)).toBe(200);
      const wrong = { authorization: `Bearer ${SECRETS.wrongToken}` };
      expect(await post("/v1/models/risk/predict", rows, wrong)).toBe(401);
      expect(await post("/v1/models/risk/unload", {}, wrong)).toBe(401);
      expect(await post("/v1/models/asked/predict", rows)).toBeGreaterThanOrEqual(400);
      await post("/v1/models/kept/predict", rows);
      await post("/v1/models/kept/load", {}, { authorization: `Bearer ${SECRETS.admin}` });
      expect(await ask(`/nowhere?token=${SECRETS.query}`)).toBe(404);
      expect(
        await ask(`/v1/features?key=${SECRETS.query}`, { headers: { "x-api-key": SECRETS.wrongToken } }),
      ).toBeGreaterThanOrEqual(400);
      expect(await ask("/v1/models/risk/predict", { method: "POST", body: "{", headers: json })).toBe(400);
      const signature = createHmac("sha256", SECRETS.webhook).update("other").digest("base64");
      await post("/v1/webhooks/mlflow", {}, { "x-mlflow-signature": `v1,${signature}`, "x-mlflow-delivery-id": "1" });
      await post("/v1/sources/clicks/events", [{ card_id: "c", at: new Date().toISOString() }]);
      const pages = [
        "/",
        "/console",
        "/console/console.js",
        "/docs/json",
        "/metrics",
        "/readyz",
        "/livez",
        "/v2/models/risk",
      ];
      const reports = [
        "/v1/sources/status",
        "/v1/models",
        "/v1/plan",
        "/v1/catalog",
        "/v1/dead-letters",
        "/v1/quality/browsing",
      ];
      for (const path of [...pages, ...reports])
        await ask(path, { headers: { authorization: `Bearer ${SECRETS.admin}` } });

      await redis.kill();
      const failed = await Promise.all(Array.from({ length: 20 }, () => post("/v1/models/risk/predict", rows)));
      for (const status of failed) expect(status).toBeGreaterThanOrEqual(500);
      await postgres.stop();
      // It may wait for the store: how long is not what this is about.
      await ask("/v1/sources/clicks/events", {
        method: "POST",
        body: JSON.stringify([{ card_id: "d", at: new Date().toISOString() }]),
        headers: json,
        signal: AbortSignal.timeout(3_000),
      }).catch(() => 0);
      await ask("/readyz");
      await ask("/metrics", { headers: { accept: "application/openmetrics-text; version=1.0.0" } });
      expect(planted(answers.join("\n"))).toEqual([]);
      await vi.waitFor(() => expect(receiver.spans.some(({ name }) => name.startsWith("POST"))).toBe(true), 10_000);
      expect(planted(JSON.stringify(receiver.spans))).toEqual([]);
    } finally {
      server.child.kill("SIGTERM");
      await vi
        .waitFor(() => expect(server.child.exitCode ?? server.child.signalCode).not.toBe(null), 20_000)
        .catch(() => server.child.kill("SIGKILL"));
    }
    const said = await ended(server);
    expect(planted(said)).toEqual([]);
    // Something was logged, and a failure of each request is not.
    expect(said).toContain("model version could not be loaded");
    expect(said.split("request failed").length - 1).toBeLessThan(6);
  }, 180_000);
});
