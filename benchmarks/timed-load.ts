import { Agent, request } from "node:http";

/** What became of a request. */
export interface Sent {
  /** When it was due, milliseconds since the load began. */
  readonly at: number;
  /** From then until its answer was there, milliseconds. */
  readonly latency: number;
  /** 0: it failed without an answer. */
  readonly status: number;
}

/** Sends requests when they are due, whatever became of those before: `perSecond` of them, at most `open` at once. */
export async function timedLoad(
  url: string,
  bodies: readonly string[],
  perSecond: number,
  seconds: number,
  open: number,
): Promise<{ readonly sent: readonly Sent[]; readonly dropped: number }> {
  const agent = new Agent({ keepAlive: true, maxSockets: open });
  const sent: Sent[] = [];
  const waiting = new Set<Promise<void>>();
  let dropped = 0;
  let next = 0;
  const started = performance.now();
  while (true) {
    const now = performance.now() - started;
    if (now >= seconds * 1_000) break;
    for (; (next * 1_000) / perSecond <= now; next++) {
      if (waiting.size >= open) {
        dropped++;
        continue;
      }
      const at = (next * 1_000) / perSecond;
      const one = post(url, agent, bodies[next % bodies.length]!).then((status) => {
        sent.push({ at, latency: performance.now() - started - at, status });
        waiting.delete(one);
      });
      waiting.add(one);
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(waiting);
  agent.destroy();
  return { sent, dropped };
}

function post(url: string, agent: Agent, body: string): Promise<number> {
  return new Promise((resolve) => {
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const sent = request(url, { method: "POST", agent, headers }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve(answer.statusCode ?? 0));
      answer.on("error", () => resolve(0));
    });
    sent.on("error", () => resolve(0));
    sent.end(body);
  });
}
