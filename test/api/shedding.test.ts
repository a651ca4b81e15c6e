import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { writeModel } from "./models/write-model.ts";
import { openTestApi, type TestApi } from "./open-api.ts";
import { RISK_COLUMNS } from "./payments.ts";

let api: TestApi;
let port: number;
const BODY = JSON.stringify({ rows: [{ card_id: "c1", amount: 1.5 }] });

beforeAll(async () => {
  api = await openTestApi({ load: { requestTimeoutMs: null, queueDelayTargetMs: 1, drainSeconds: 1 } });
  await writeModel(join(api.folder, "risk", "3"), { answer: 0.25, features: RISK_COLUMNS });
  await api.models.refresh();
  port = Number(new URL((await api.server.listen({ host: "127.0.0.1", port: 0 })).url).port);
});
afterAll(() => api.close());

/** Sends a request, and gives its whole answer. */
async function ask(socket: Socket, line: string, headers: string, body: string): Promise<string> {
  socket.write(`${line} HTTP/1.1\r\nHost: h\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`);
  for (let text = ""; ; ) {
    const [data] = (await once(socket, "data")) as [Buffer];
    text += data.toString();
    const end = text.indexOf("\r\n\r\n");
    const length = Number(/content-length: (\d+)/i.exec(text)?.[1] ?? 0);
    if (end >= 0 && Buffer.byteLength(text) >= end + 4 + length) return text;
  }
}

/** Makes every turn of the event loop longer than requests may wait, until it is told to end. */
function holdUp(): () => void {
  let isOver = false;
  const hold = (): void => {
    const until = performance.now() + 5;
    while (performance.now() < until);
    if (!isOver) setImmediate(hold);
  };
  hold();
  return () => {
    isOver = true;
  };
}

it.each([
  ["plain requests", ""],
  ["requests by the HTTP server", "X-Unknown: 1\r\n"],
])(
  "refuses %s that would wait too long, keeps their connection, and serves them once the queue is gone",
  async (_what, more) => {
    const socket = connect(port, "127.0.0.1");
    const health = connect(port, "127.0.0.1");
    const predict = (): Promise<string> =>
      ask(socket, "POST /v1/models/risk/predict", `Content-Type: application/json\r\n${more}`, BODY);
    const end = holdUp();
    let refused = "";
    try {
      // A queue has to stand for a while first: a burst is served.
      for (
        const until = performance.now() + 10_000;
        !refused.startsWith("HTTP/1.1 503") && performance.now() < until;
      ) {
        refused = await predict();
      }
      expect(refused).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
      expect(refused).toMatch(/\r\nretry-after: 1\r\n/i);
      expect(refused).toMatch(/\r\nConnection: keep-alive\r\n/);
      expect(refused).toContain('"code":"OVERLOADED"');
      expect(await ask(health, "GET /livez", "", "")).toMatch(/^HTTP\/1\.1 200 /);
    } finally {
      end();
    }
    let served = "";
    for (const until = performance.now() + 10_000; !served.startsWith("HTTP/1.1 200") && performance.now() < until; ) {
      served = await predict();
    }
    expect(served).toContain('"probability":0.25');
    socket.destroy();
    health.destroy();
  },
);
