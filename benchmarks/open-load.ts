import { connect, type Socket } from "node:net";
import { fileURLToPath } from "node:url";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

/** A request of a load at a constant rate, and its answer. Times are those of {@link monotonicMs}. */
export interface LoadedRequest {
  /** When it was due: a server that is late is not spared the requests that it would have got meanwhile. */
  readonly due: number;
  /** When it was written to the socket. */
  readonly sent: number;
  readonly received: number;
  readonly status: number;
  readonly body: string;
}

export interface OpenLoad {
  /** What was answered since the last call. */
  take(): LoadedRequest[];
  /** Sends nothing more; resolves when all is answered. */
  stop(): Promise<void>;
}

interface LoadOptions {
  readonly url: string;
  readonly body: string;
  readonly perSecond: number;
  readonly connections: number;
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** One clock of all threads, unlike `performance.now()`, and one that nobody sets, unlike `Date.now()`; milliseconds. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

/** Sends the body `perSecond` times a second from a thread of its own, over at most so many connections. */
export function openLoad(options: LoadOptions): OpenLoad {
  const worker = new Worker(fileURLToPath(import.meta.url), { workerData: options });
  let answered: LoadedRequest[] = [];
  const ended = new Promise<void>((resolve, reject) => {
    worker.on("error", reject);
    worker.on("exit", () => resolve());
  });
  worker.on("message", (batch: readonly LoadedRequest[]) => {
    for (const one of batch) answered.push(one);
  });
  return {
    take() {
      const taken = answered;
      answered = [];
      return taken;
    },
    async stop() {
      worker.postMessage("stop");
      await ended;
    },
  };
}

function generate({ url, body, perSecond, connections }: LoadOptions): void {
  const { hostname, port, pathname } = new URL(url);
  const request = Buffer.from(
    `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const idle: Connection[] = [];
  const waiting: number[] = [];
  let answered: LoadedRequest[] = [];
  let open = 0;
  let inFlight = 0;
  let isStopping = false;

  interface Connection {
    readonly socket: Socket;
    due: number;
    sent: number;
    received: Buffer[];
  }

  function send(connection: Connection, due: number): void {
    inFlight++;
    connection.due = due;
    connection.sent = monotonicMs();
    connection.received = [];
    connection.socket.write(request);
  }

  function finish(connection: Connection, status: number, text: string): void {
    inFlight--;
    answered.push({ due: connection.due, sent: connection.sent, received: monotonicMs(), status, body: text });
  }

  function dial(): void {
    open++;
    const socket = connect(Number(port), hostname);
    socket.setNoDelay(true);
    const connection: Connection = { socket, due: 0, sent: 0, received: [] };
    let isBusy = false;
    const next = (): void => {
      const due = waiting.shift();
      isBusy = due !== undefined;
      if (due === undefined) idle.push(connection);
      else send(connection, due);
    };
    socket.on("connect", next);
    socket.on("data", (data: Buffer) => {
      connection.received.push(data);
      const all = connection.received.length === 1 ? data : Buffer.concat(connection.received);
      const end = all.indexOf(HEAD_END);
      if (end < 0) return;
      const head = all.toString("latin1", 0, end);
      const length = Number(/content-length: *(\d+)/i.exec(head)?.[1]);
      if (all.length < end + 4 + length) return;
      finish(connection, Number(head.slice(9, 12)), all.toString("utf8", end + 4));
      next();
    });
    socket.on("error", () => {});
    socket.on("close", () => {
      open--;
      const at = idle.indexOf(connection);
      if (at >= 0) idle.splice(at, 1);
      else if (isBusy) finish(connection, 0, "the connection ended");
    });
    idleOnSend.set(connection, () => {
      isBusy = true;
    });
  }
  const idleOnSend = new Map<Connection, () => void>();

  const started = monotonicMs();
  let sent = 0;
  const tick = setInterval(() => {
    const wanted = isStopping ? sent : Math.floor(((monotonicMs() - started) / 1_000) * perSecond);
    for (; sent < wanted; sent++) {
      const due = started + (sent / perSecond) * 1_000;
      const connection = idle.pop();
      if (connection !== undefined) {
        idleOnSend.get(connection)?.();
        send(connection, due);
      } else {
        waiting.push(due);
        if (open < connections) dial();
      }
    }
    if (answered.length > 0) parentPort?.postMessage(answered);
    answered = [];
    if (!isStopping || inFlight > 0 || waiting.length > 0) return;
    clearInterval(tick);
    for (const { socket } of idle) socket.destroy();
    parentPort?.close();
  }, 1);
  parentPort?.on("message", () => {
    isStopping = true;
  });
}

if (!isMainThread && workerData?.perSecond !== undefined) generate(workerData as LoadOptions);
