import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Admin, Producer } from "@platformatic/kafka";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type KafkaCluster, kafkaCluster } from "./services/kafka-cluster.ts";
import { millraceProcess } from "./services/millrace-process.ts";
import { spawnService } from "./services/spawn-service.ts";

const root = (path: string): string => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
const MAIN = fileURLToPath(new URL("../src/cli/main.ts", import.meta.url));
const START = Date.now() - 3_600_000;
const ORDERS = 600;

let cluster: KafkaCluster;
let producer: Producer;
let folder: string;
let environment: Record<string, string>;

beforeAll(async () => {
  cluster = await kafkaCluster();
  producer = new Producer({ clientId: "tests", bootstrapBrokers: [...cluster.brokers], idempotent: true });
  const admin = new Admin({ clientId: "tests", bootstrapBrokers: [...cluster.brokers] });
  await admin.createTopics({ topics: ["orders", "unreadable"], partitions: 2, replicas: 1 });
  await admin.close();
  folder = await mkdtemp(join(tmpdir(), "millrace-reset-"));
  environment = { MILLRACE_DATA: join(folder, "data"), MILLRACE_KAFKA_BROKERS: cluster.brokers.join(",") };
  await writeFile(
    join(folder, "millrace.config.ts"),
    'export default { declarations: "./features.ts", logLevel: "error" };\n',
  );
});
afterAll(async () => {
  await producer?.close(true);
  await cluster?.close();
  await rm(folder, { recursive: true, force: true });
});

/** Declares orders whose amounts are read by the function: prices with a comma are none to the first. */
async function declare({
  amount,
  source = "orders",
  topic = "orders",
  start = '"earliest"',
}: Record<string, string>): Promise<void> {
  await writeFile(
    join(folder, "features.ts"),
    `import { count, decodeWith, entity, featureService, featureView, kafka, streamSource, sum, t } from ${root("../src/index.ts")};
export const customer = entity("customer", { customer: t.string() });
export const orders = streamSource("${source}", {
  stream: kafka({ topic: "${topic}", start: ${start} }), eventTime: "at", lateness: "1m",
  format: decodeWith(({ value }) => { const o = JSON.parse(new TextDecoder().decode(value)); return { ...o, amount: ${amount} }; }),
  schema: { n: t.int32(), customer: t.string(), amount: t.float64(), at: t.timestamp() },
});
export const spending = featureView("spending", {
  source: orders, entity: customer, features: { n: count().over("24h"), spend: sum(orders.amount).over("24h") },
});
export const spender = featureService("spender", { features: { ...spending } });
`,
  );
}

function text(n: number, isBad: (n: number) => boolean): string {
  const amount = isBad(n) ? `${n},5` : n;
  return JSON.stringify({ n, customer: `c${n % 3}`, amount, at: new Date(START + n * 1_000).toISOString() });
}

/** Those orders that the function names have a price with a comma. */
async function produce(topic: string, isBad: (n: number) => boolean): Promise<void> {
  const messages = Array.from({ length: ORDERS }, (_, n) => {
    return { topic, partition: n % 2, timestamp: BigInt(START + n * 1_000), value: Buffer.from(text(n, isBad)) };
  });
  await producer.send({ messages: messages as never });
}

interface Ended {
  readonly code: unknown;
  readonly out: string;
  readonly err: string;
}

const millrace = (...args: readonly string[]): Promise<Ended> => millraceIn(environment.MILLRACE_DATA!, ...args);

async function millraceIn(data: string, ...args: readonly string[]): Promise<Ended> {
  const env = { ...process.env, ...environment, MILLRACE_DATA: data };
  const child = spawnService(process.execPath, [MAIN, ...args], { cwd: folder, env });
  let out = "";
  let err = "";
  child.stdout!.on("data", (data) => (out += data));
  child.stderr!.on("data", (data) => (err += data));
  const [code] = (await once(child, "close")) as [unknown];
  return { code, out, err };
}

async function spending(url: string): Promise<readonly (readonly unknown[])[]> {
  const response = await fetch(`${url}/v1/features/online`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ service: "spender", rows: ["c0", "c1", "c2"].map((customer) => ({ customer })) }),
  });
  return ((await response.json()) as { rows: unknown[][] }).rows;
}

/** Of the orders that the predicate keeps: how many and what they cost, by customer. */
function expected(keeps: (n: number) => boolean, cost: (n: number) => number): readonly (readonly number[])[] {
  return [0, 1, 2].map((customer) => {
    const own = Array.from({ length: ORDERS }, (_, n) => n).filter((n) => n % 3 === customer && keeps(n));
    return [own.length, own.reduce((sum, n) => sum + cost(n), 0)];
  });
}
const isComma = (n: number): boolean => n >= 300 && n % 10 === 0;
const FIXED = 'typeof o.amount === "string" ? Number(o.amount.replace(",", ".")) : o.amount';
const config = (): string => join(folder, "millrace.config.ts");

it("is read again from a time after a fix: what could not be decoded counts, and nothing counts twice", async () => {
  await produce("orders", isComma);
  await declare({ amount: "o.amount" });
  const time = new Date(START + 299_500).toISOString();
  const without = expected(
    (n) => !isComma(n),
    (n) => n,
  );
  {
    await using before = await millraceProcess(config(), environment);
    await expect.poll(() => spending(before.url), { timeout: 60_000 }).toEqual(without);
    // What could not be taken is exported as it came, with its place.
    const { out } = await millrace("dead-letters", "export", "--limit", "1000");
    const letters = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, string>);
    expect(
      letters
        .map(({ partition, offset, bytes }) => [partition, offset, Buffer.from(bytes!, "base64").toString()])
        .reverse(),
    ).toEqual(Array.from({ length: 30 }, (_, i) => 300 + i * 10).map((n) => ["orders:0", n / 2, text(n, isComma)]));
    const refused = await millrace("ingest", "reset", "--source", "orders", "--to", time);
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining("read by this process") });
  }
  await declare({ amount: FIXED });
  const plan = [150, 150].map((after, i) => ({ partition: `orders:${i}`, before: 300, after }));
  const reset = ["--json", "ingest", "reset", "--source", "orders", "--to", time];
  for (const more of [["--dry-run"], []]) {
    const { code, out, err } = await millrace(...reset, ...more);
    expect([code, err]).toEqual([0, ""]);
    expect(JSON.parse(out)).toEqual({ partitions: plan });
  }
  await using after = await millraceProcess(config(), environment);
  const all = expected(
    () => true,
    (n) => (isComma(n) ? n + 0.5 : n),
  );
  await expect.poll(() => spending(after.url), { timeout: 60_000 }).toEqual(all);
  const partitions = async (): Promise<readonly object[]> => {
    const status = await (await fetch(`${after.url}/v1/sources/status`)).json();
    const [{ partitions: found }] = (status as { sources: [{ partitions: { partition: string }[] }] }).sources;
    return found.filter(({ partition }) => !partition.startsWith("http:"));
  };
  await expect.poll(partitions, { timeout: 60_000 }).toMatchObject([
    { partition: "orders:0", committed: 299, lag_messages: 0 },
    { partition: "orders:1", committed: 299, lag_messages: 0 },
  ]);
  expect(await spending(after.url)).toEqual(all);
  expect((await millrace("--json", "dead-letters", "list")).out).toContain('"dead_letters":[]');
  expect((await millrace("check-consistency")).code).toBe(0);
});

it("says what it cannot do", async () => {
  for (const [to, why] of [
    ["yesterday", "must be earliest, latest, a time"],
    ["orders:7=1", "no partition of the source"],
    ["orders:0=9000", "has the offsets 0 to 300"],
  ] as const) {
    const { code, err } = await millrace("ingest", "reset", "--source", "orders", "--to", to);
    expect([code, err]).toEqual([2, expect.stringContaining(why)]);
  }
});

it("is read into a new version of a view as another source, which takes over once it has caught up", async () => {
  // A history that the first decoder got wrong: every amount is tenfold.
  await declare({ amount: '10 * Number(String(o.amount).replace(",", "."))', source: "wrong_orders" });
  const right = expected(
    (n) => n >= 200,
    (n) => (isComma(n) ? n + 0.5 : n),
  );
  await using running = await millraceProcess(config(), {
    ...environment,
    MILLRACE_DATA: join(folder, "again"),
  });
  const before = expected(
    () => true,
    (n) => 10 * (isComma(n) ? n + 0.5 : n),
  );
  await expect.poll(() => spending(running.url), { timeout: 60_000 }).toEqual(before);
  await declare({ amount: FIXED, source: "orders_again", start: `new Date(${START + 199_500})` });
  const seen = new Set<string>();
  const applying = millraceIn(join(folder, "again"), "apply");
  let done = false;
  void applying.finally(() => (done = true));
  while (!done) seen.add(JSON.stringify(await spending(running.url)));
  expect(await applying).toMatchObject({ code: 0 });
  seen.add(JSON.stringify(await spending(running.url)));
  // Nobody ever read a part of it.
  expect([...seen]).toEqual([JSON.stringify(before), JSON.stringify(right)]);
});

it("stops before messages most of which cannot be taken, and takes them once the declaration is right", async () => {
  const own = { MILLRACE_DATA: join(folder, "threshold") };
  await produce("unreadable", () => true);
  await produce("unreadable", () => true);
  await declare({ amount: "o.amount", source: "unreadable", topic: "unreadable" });
  {
    await using stopped = await millraceProcess(config(), { ...environment, ...own });
    const state = async (): Promise<object> => {
      const status = await (await fetch(`${stopped.url}/v1/sources/status`)).json();
      return (status as { sources: [object] }).sources[0];
    };
    await expect.poll(state, { timeout: 60_000 }).toMatchObject({
      state: "failed",
      last_error: expect.stringContaining("600 of the last 1000 messages cannot be used, more than 50%"),
    });
  }
  await declare({ amount: FIXED, source: "unreadable", topic: "unreadable" });
  await using going = await millraceProcess(config(), { ...environment, ...own });
  // What was set aside before it stopped waits to be replayed; the rest was never passed over.
  const { out } = await millraceIn(own.MILLRACE_DATA, "--json", "dead-letters", "replay", "--limit", "10000");
  expect(JSON.parse(out)).toMatchObject({ failed: [] });
  const all = expected(
    () => true,
    (n) => n + 0.5,
  ).map(([count, cost]) => [2 * count!, 2 * cost!]);
  await expect.poll(() => spending(going.url), { timeout: 60_000 }).toEqual(all);
});
