import { connect } from "node:net";

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly failures: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Sends the bodies in turn over keep-alive connections, the next request of a connection when its answer is there. */
export async function httpLoad(
  url: string,
  bodies: readonly string[],
  connections: number,
  seconds: number,
): Promise<LoadResult> {
  const { hostname, port, pathname } = new URL(url);
  const requests = bodies.map((body) =>
    Buffer.from(
      `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    ),
  );
  const latencies: number[] = [];
  let failures = 0;
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
          let buffered = "";
          const send = (): void => {
            sent = performance.now();
            socket.write(requests[next++ % requests.length]!);
          };
          socket.on("connect", send);
          socket.on("error", reject);
          socket.on("data", (data) => {
            buffered += data.toString("latin1");
            const head = buffered.indexOf("\r\n\r\n");
            if (head < 0) return;
            const length = Number(/content-length: (\d+)/i.exec(buffered)?.[1]);
            if (buffered.length < head + 4 + length) return;
            latencies.push(performance.now() - sent);
            if (!buffered.startsWith("HTTP/1.1 200")) failures++;
            buffered = "";
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
    failures,
    p50: quantile(0.5),
    p95: quantile(0.95),
    p99: quantile(0.99),
  };
}
