import { connect } from "node:net";
import type { Sent } from "./timed-load.ts";

/**
 * Sends each request over a connection of its own, which is then reset: so many at once, as fast as they are answered.
 * Status 0: no answer came.
 */
export async function connectionFlood(
  url: string,
  bodies: readonly string[],
  seconds: number,
  atOnce: number,
): Promise<readonly Sent[]> {
  const { hostname, port, pathname } = new URL(url);
  const requests = bodies.map(
    (body) =>
      `POST ${pathname} HTTP/1.1\r\nhost: ${hostname}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
  const started = performance.now();
  const sent: Sent[] = [];

  function ask(request: string): Promise<void> {
    return new Promise((resolve) => {
      const at = performance.now() - started;
      const socket = connect(Number(port), hostname);
      let status = 0;
      let text = "";
      const done = (): void => {
        sent.push({ at, latency: performance.now() - started - at, status });
        resolve();
      };
      socket.once("close", done);
      socket.on("error", () => {});
      socket.on("data", (data: Buffer) => {
        text += data.toString("latin1");
        const end = text.indexOf("\r\n\r\n");
        if (end < 0 || text.length < end + 4 + Number(/content-length: *(\d+)/i.exec(text)?.[1])) return;
        status = Number(text.slice(9, 12));
        // No state of it stays in the kernel, of which ports would run out.
        socket.resetAndDestroy();
      });
      socket.write(request);
    });
  }

  let next = 0;
  const clients = Array.from({ length: atOnce }, async () => {
    while (performance.now() - started < seconds * 1_000) await ask(requests[next++ % requests.length]!);
  });
  await Promise.all(clients);
  return sent;
}
