import { connect, type Socket } from "node:net";

/** What became of a request. */
export interface Sent {
  /** When it was due, milliseconds since the load began. */
  readonly at: number;
  /** From then until its answer was there, milliseconds. */
  readonly latency: number;
  /** 0: the connection broke. */
  readonly status: number;
}

export interface TimedLoad {
  readonly sent: readonly Sent[];
  /** Due while all connections waited for answers. */
  readonly unsent: number;
  /** How late the load itself was at worst, of 99% of the requests, milliseconds: it is part of their latency. */
  readonly lagP99: number;
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** Sends requests when they are due, whatever became of those before: `perSecond`, over so many connections at most. */
export async function timedLoad(
  url: string,
  bodies: readonly string[],
  perSecond: number,
  seconds: number,
  connections: number,
): Promise<TimedLoad> {
  const { hostname, port, pathname } = new URL(url);
  const requests = bodies.map((body) =>
    Buffer.from(
      `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    ),
  );
  const sent: Sent[] = [];
  const lags: number[] = [];
  const free: Socket[] = [];
  const busy = new Map<Socket, number>();
  let started = 0;
  let unsent = 0;

  function done(socket: Socket, status: number): void {
    const at = busy.get(socket);
    if (at === undefined) return;
    busy.delete(socket);
    sent.push({ at, latency: performance.now() - started - at, status });
  }
  function open(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), hostname);
      socket.setNoDelay(true);
      let head: Buffer | null = null;
      /** Bytes of the answer that are still to come; −1: its head is not whole. */
      let missing = -1;
      let status = 0;
      socket.once("connect", () => {
        free.push(socket);
        resolve();
      });
      socket.on("error", reject);
      socket.on("close", () => {
        done(socket, 0);
        const index = free.indexOf(socket);
        if (index >= 0) free.splice(index, 1);
      });
      socket.on("data", (data: Buffer) => {
        if (missing >= 0) missing -= data.length;
        else {
          head = head === null ? data : Buffer.concat([head, data]);
          const end = head.indexOf(HEAD_END);
          if (end < 0) return;
          const text = head.toString("latin1", 0, end);
          status = Number(text.slice(9, 12));
          missing = end + 4 + Number(/content-length: *(\d+)/i.exec(text)?.[1]) - head.length;
        }
        if (missing > 0) return;
        missing = -1;
        head = null;
        done(socket, status);
        free.push(socket);
      });
    });
  }

  for (let i = 0; i < connections; i++) await open();
  started = performance.now();
  for (let next = 0; ; ) {
    const now = performance.now() - started;
    if (now >= seconds * 1_000) break;
    for (; (next * 1_000) / perSecond <= now; next++) {
      const socket = free.pop();
      if (socket === undefined) {
        unsent++;
        continue;
      }
      const at = (next * 1_000) / perSecond;
      lags.push(now - at);
      busy.set(socket, at);
      socket.write(requests[next % requests.length]!);
    }
    await new Promise((resolve) => setImmediate(resolve));
  }
  const until = performance.now() + 30_000;
  while (busy.size > 0 && performance.now() < until) await new Promise((resolve) => setTimeout(resolve, 5));
  for (const socket of [...busy.keys(), ...free]) socket.destroy();
  lags.sort((a, b) => a - b);
  return { sent, unsent, lagP99: lags[Math.floor(0.99 * (lags.length - 1))] ?? 0 };
}
