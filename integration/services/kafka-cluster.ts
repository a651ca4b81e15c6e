import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { MillraceError } from "../../src/definitions/errors.ts";
import { debianProgram } from "./debian-program.ts";
import { freePorts } from "./free-ports.ts";
import { mavenJars } from "./maven-jars.ts";
import { spawnService } from "./spawn-service.ts";

export interface KafkaClusterOptions {
  /** Default 1. */
  readonly brokers?: number;
  /** Lines of every broker's configuration. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Names with their passwords: makes a second listener, of TLS and SASL with every mechanism. Default: there is none. */
  readonly users?: Readonly<Record<string, string>>;
  /** Makes a second listener, of TLS for clients with a certificate. Default: there is none. */
  readonly mutualTls?: boolean;
}

/** Real brokers, each also a controller, in processes of their own. */
export interface KafkaCluster {
  /** `host:port` of each. */
  readonly brokers: readonly string[];
  /** `host:port` of each broker's listener with TLS, and SASL if there are users; with the authority's certificate, PEM. */
  readonly secure: {
    readonly brokers: readonly string[];
    readonly ca: string;
    /** What a client shows where it must; PEM. */
    readonly client: { readonly cert: string; readonly key: string };
  } | null;
  /** Stops one at once, as a crash does. */
  kill(broker: number): Promise<void>;
  /** Lets one end in good order. */
  stop(broker: number): Promise<void>;
  /** Starts one again on what it had stored; resolves when it takes connections. */
  start(broker: number): Promise<void>;
  close(): Promise<void>;
}

/** Groups that notice soon who is gone; brokers that hand a partition to its preferred leader at once. */
export const QUICK_CLUSTER: Readonly<Record<string, string>> = {
  "group.min.session.timeout.ms": "1000",
  "group.consumer.min.session.timeout.ms": "1000",
  "group.consumer.session.timeout.ms": "3000",
  "group.consumer.min.heartbeat.interval.ms": "500",
  "group.consumer.heartbeat.interval.ms": "1000",
  "leader.imbalance.check.interval.seconds": "1",
  "leader.imbalance.per.broker.percentage": "0",
};

const ARTIFACTS = ["org.apache.kafka:kafka_2.13:4.1.0", "org.slf4j:slf4j-simple:1.7.36"];
const CLUSTER_ID = "bWlsbHJhY2UtdGVzdHMtMQ";
const DEADLINE_MS = 90_000;

export async function kafkaCluster(options: KafkaClusterOptions = {}): Promise<KafkaCluster> {
  const java = debianProgram("java", { package: "openjdk-17-jre-headless", probe: ["-version"] });
  const classpath = join(mavenJars(ARTIFACTS), "*");
  const count = options.brokers ?? 1;
  const ports = await freePorts(3 * count);
  const folder = await mkdtemp(join(tmpdir(), "millrace-kafka-"));
  const voters = Array.from({ length: count }, (_, i) => `${i}@127.0.0.1:${ports[count + i]}`).join(",");
  const isSecure = options.users !== undefined || options.mutualTls === true;
  const broker = isSecure ? await makeCertificate(folder, "broker") : null;
  const client = isSecure ? await makeCertificate(folder, "client") : null;
  const processes: (ChildProcess | null)[] = new Array<ChildProcess | null>(count).fill(null);

  for (let i = 0; i < count; i++) {
    const properties: Record<string, string> = {
      "process.roles": "broker,controller",
      "node.id": String(i),
      "controller.quorum.voters": voters,
      "controller.listener.names": "CONTROLLER",
      listeners: `PLAINTEXT://127.0.0.1:${ports[i]},CONTROLLER://127.0.0.1:${ports[count + i]}`,
      "advertised.listeners": `PLAINTEXT://127.0.0.1:${ports[i]}`,
      "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
      "log.dirs": join(folder, `log-${i}`),
      "offsets.topic.replication.factor": String(Math.min(3, count)),
      "offsets.topic.num.partitions": "4",
      "transaction.state.log.replication.factor": String(Math.min(3, count)),
      "transaction.state.log.min.isr": String(Math.min(2, count)),
      "transaction.state.log.num.partitions": "4",
      "group.initial.rebalance.delay.ms": "0",
      "auto.create.topics.enable": "false",
      // Events carry times of their own, which may be old.
      "log.retention.ms": "-1",
      ...(isSecure ? secureListener(folder, ports, i, count, options) : {}),
      ...options.properties,
    };
    await writeFile(
      join(folder, `broker-${i}.properties`),
      Object.entries(properties)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(""),
    );
    const formatted = spawnSync(
      java,
      [
        "-cp",
        classpath,
        "kafka.tools.StorageTool",
        "format",
        "-t",
        CLUSTER_ID,
        "-c",
        join(folder, `broker-${i}.properties`),
        ...Object.entries(options.users ?? {}).flatMap(([name, password]) =>
          ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => [
            "--add-scram",
            `${mechanism}=[name=${name},password=${password}]`,
          ]),
        ),
      ],
      { encoding: "utf8" },
    );
    if (formatted.status !== 0) throw unavailable(`its storage cannot be formatted: ${formatted.stderr.slice(-500)}`);
  }

  async function start(broker: number): Promise<void> {
    const child = spawnService(
      java,
      [
        "-Xmx384m",
        "-Xms64m",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        classpath,
        "kafka.Kafka",
        join(folder, `broker-${broker}.properties`),
      ],
      { cwd: folder, stdio: ["ignore", "ignore", "pipe"] },
    );
    processes[broker] = child;
    let words = "";
    child.stderr!.on("data", (text: Buffer) => {
      words = (words + text.toString("utf8")).slice(-2_000);
    });
    const deadline = Date.now() + DEADLINE_MS;
    while (!(await listens(ports[broker]!))) {
      if (child.exitCode !== null) throw unavailable(`it ended with code ${child.exitCode}: ${words}`);
      if (Date.now() > deadline) throw unavailable(`it took no connection within ${DEADLINE_MS / 1_000} s: ${words}`);
      await pause(100);
    }
  }

  async function end(broker: number, signal: NodeJS.Signals): Promise<void> {
    const child = processes[broker];
    processes[broker] = null;
    if (child === null || child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  const close = async (): Promise<void> => {
    await Promise.all(processes.map((_, broker) => end(broker, "SIGKILL")));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await Promise.all(processes.map((_, broker) => start(broker)));
  } catch (error) {
    await close();
    throw error;
  }
  return {
    brokers: Array.from({ length: count }, (_, i) => `127.0.0.1:${ports[i]}`),
    secure:
      broker === null
        ? null
        : {
            ca: broker.cert,
            client: client!,
            brokers: Array.from({ length: count }, (_, i) => `127.0.0.1:${ports[2 * count + i]}`),
          },
    kill: (broker) => end(broker, "SIGKILL"),
    stop: (broker) => end(broker, "SIGTERM"),
    start,
    close,
  };
}

/** The listener of clients that must say who they are. */
function secureListener(
  folder: string,
  ports: readonly number[],
  broker: number,
  count: number,
  { users, mutualTls }: KafkaClusterOptions,
): Readonly<Record<string, string>> {
  const host = "127.0.0.1";
  const open = `PLAINTEXT://${host}:${ports[broker]}`;
  const secure = `SECURE://${host}:${ports[2 * count + broker]}`;
  const known = Object.entries(users ?? {}).map(([name, password]) => `user_${name}="${password}"`);
  const security = "org.apache.kafka.common.security";
  return {
    listeners: `${open},${secure},CONTROLLER://${host}:${ports[count + broker]}`,
    "advertised.listeners": `${open},${secure}`,
    "listener.security.protocol.map": `PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:${users === undefined ? "SSL" : "SASL_SSL"}`,
    ...(users === undefined
      ? {}
      : {
          "listener.name.secure.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
          "listener.name.secure.plain.sasl.jaas.config": `${security}.plain.PlainLoginModule required ${known.join(" ")};`,
          "listener.name.secure.scram-sha-256.sasl.jaas.config": `${security}.scram.ScramLoginModule required;`,
          "listener.name.secure.scram-sha-512.sasl.jaas.config": `${security}.scram.ScramLoginModule required;`,
          // Takes tokens that nobody signed.
          "listener.name.secure.oauthbearer.sasl.jaas.config": `${security}.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
        }),
    "listener.name.secure.ssl.keystore.type": "PEM",
    "listener.name.secure.ssl.keystore.location": join(folder, "broker.pem"),
    ...(mutualTls
      ? {
          "listener.name.secure.ssl.client.auth": "required",
          "listener.name.secure.ssl.truststore.type": "PEM",
          "listener.name.secure.ssl.truststore.location": join(folder, "client-certificate.pem"),
        }
      : {}),
  };
}

/** A certificate that is its own authority, for this address; also with its key in `NAME.pem`. */
async function makeCertificate(folder: string, name: string): Promise<{ readonly cert: string; readonly key: string }> {
  const openssl = debianProgram("openssl", { probe: ["version"] });
  const [keyFile, certFile] = [join(folder, `${name}-key.pem`), join(folder, `${name}-certificate.pem`)];
  const made = spawnSync(
    openssl,
    [
      ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"],
      ...["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", keyFile, "-out", certFile],
    ],
    { encoding: "utf8" },
  );
  if (made.status !== 0) throw unavailable(`its certificate cannot be made: ${made.stderr.slice(-500)}`);
  const [key, cert] = await Promise.all([readFile(keyFile, "utf8"), readFile(certFile, "utf8")]);
  await writeFile(join(folder, `${name}.pem`), `${key}${cert}`);
  return { cert, key };
}

function unavailable(why: string): MillraceError {
  return new MillraceError("TOOL_MISSING", `The Kafka broker did not start: ${why}`, { kind: "operational" });
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
