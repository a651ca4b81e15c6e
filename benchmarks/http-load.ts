import { connect } from "node:net";

/** JSON, or bytes with their headers. */
export type Body = string | { readonly headers: Readonly<Record<string, string>>; readonly bytes: Uint8Array };

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly failures: number;
  /** Of the failures, how many had which status; 0 where the connection broke. */
  readonly failed: ReadonlyMap<number, number>;
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  /** Of an answer's body, the mean. */
  readonly bytes: number;
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** Sends the bodies in turn over keep-alive connections, the next request of a connection when its answer is there. */
export async function httpLoad(
  url: string,
  bodies: readonly Body[],
  connections: number,
  seconds: number,
): Promise<LoadResult> {
  const { hostname, port, pathname } = new URL(url);
  const requests = bodies.map((body) => {
    const { headers, bytes } =
      typeof body === "string" ? { headers: { "content-type": "application/json" }, bytes: Buffer.from(body) } : body;
    const lines = Object.entries({ host: hostname, ...headers, "content-length": bytes.length }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    );
    return Buffer.concat([Buffer.from(`POST ${pathname} HTTP/1.1\r\n${lines.join("")}\r\n`), bytes]);
  });
  const latencies: number[] = [];
  const failed = new Map<number, number>();
  const fail = (status: number): void => void failed.set(status, (failed.get(status) ?? 0) + 1);
  let bytes = 0;
  let next = 0;
  const started = performance.now();
  const until = started + seconds * 1_000;
  await Promise.all(
    Array.from(
      { length: connections },
      () =>
        new Promise<void>((resolve, reject) => {
          const socket = connect(Number(port), hostname);
          socket.setNoDelay(true);
          let sent = 0;
          /** Bytes of the answer that are still to come; −1: its head is not whole. */
          let missing = -1;
          let head: Buffer | null = null;
          const send = (): void => {
            missing = -1;
            head = null;
            sent = performance.now();
            socket.write(requests[next++ % requests.length]!);
          };
          socket.on("connect", send);
          socket.on("error", reject);
          socket.on("close", () => {
            if (performance.now() < until) fail(0);
            resolve();
          });
          socket.on("data", (data: Buffer) => {
            if (missing >= 0) missing -= data.length;
            else {
              head = head === null ? data : Buffer.concat([head, data]);
              const end = head.indexOf(HEAD_END);
              if (end < 0) return;
              const text = head.toString("latin1", 0, end);
              const length = Number(/content-length: *(\d+)/i.exec(text)?.[1]);
              if (!text.startsWith("HTTP/1.1 200")) fail(Number(text.slice(9, 12)));
              bytes += length;
              missing = end + 4 + length - head.length;
            }
            if (missing > 0) return;
            latencies.push(performance.now() - sent);
            if (performance.now() < until) return send();
            socket.end();
            resolve();
          });
        }),
    ),
  );
  latencies.sort((a, b) => a - b);
  const quantile = (q: number): number => latencies[Math.floor(q * (latencies.length - 1))]!;
  return {
    requests: latencies.length,
    seconds: (performance.now() - started) / 1_000,
    failures: [...failed.values()].reduce((sum, count) => sum + count, 0),
    failed,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
    bytes: bytes / latencies.length,
  };
}

/** "0 failures", or how many had which status. */
export function failuresText({ failures, failed }: LoadResult): string {
  if (failures === 0) return "0 failures";
  return `${failures} failures (${[...failed].map(([status, count]) => `${status || "broken connection"}: ${count}`).join(", ")})`;
}
