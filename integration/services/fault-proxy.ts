import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What becomes of a request; null: it is passed on. */
export type Fault =
  | { readonly answer: number; readonly type: string; readonly body: string }
  /** Nothing comes. */
  | "silence"
  | "reset"
  /** Half of the body, then the connection ends. */
  | "half";

export interface FaultProxy extends AsyncDisposable {
  readonly url: string;
  /** Decides about each request from now on. */
  faultOf: (path: string) => Fault | null;
}

/** Stands before a server, and lets it fail as proxies and networks do. */
export async function faultProxy(target: string): Promise<FaultProxy> {
  const server = createServer((incoming: IncomingMessage, outgoing: ServerResponse) => {
    const { method, headers, url = "/" } = incoming;
    const fault = proxy.faultOf(url);
    if (fault === "silence") return;
    if (fault === "reset") return void incoming.socket.resetAndDestroy();
    if (fault !== null && fault !== "half") {
      outgoing.writeHead(fault.answer, { "content-type": fault.type }).end(fault.body);
      return;
    }
    const passed = request(`${target}${url}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      if (fault === null) return void answer.pipe(outgoing);
      const parts: Buffer[] = [];
      answer.on("data", (bytes: Buffer) => parts.push(bytes));
      answer.on("end", () => {
        const body = Buffer.concat(parts);
        outgoing.write(body.subarray(0, body.length >> 1), () => outgoing.destroy());
      });
    });
    passed.on("error", () => outgoing.destroy());
    incoming.pipe(passed);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const proxy: FaultProxy = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    faultOf: () => null,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return proxy;
}
