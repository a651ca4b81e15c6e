import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";

/** Where an answer is cut off, as by a network that breaks. */
export interface Cut {
  /** Of its body that are sent. */
  readonly bytes: number;
  /** Resolves when it may break: a client forgets what it has received and not read yet. */
  readonly when: () => Promise<void>;
}

export interface BearerProxy extends AsyncDisposable {
  readonly url: string;
  /** The requests that came, newest last: method and path. */
  readonly requests: readonly string[];
}

/**
 * What stands before an MLflow in many companies: asks for a bearer token, and passes the rest on with the credentials
 * that MLflow itself wants; over TLS if it has a key and a certificate. `cut` may cut an answer off.
 */
export async function bearerProxy(
  target: string,
  token: string,
  authorization: string,
  cut: (path: string) => Cut | null = () => null,
  tls: { readonly key: string; readonly cert: string } | null = null,
): Promise<BearerProxy> {
  const requests: string[] = [];
  const handle = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    requests.push(
      `${incoming.method} ${incoming.url}${incoming.headers.range === undefined ? "" : ` ${incoming.headers.range}`}`,
    );
    if (incoming.headers.authorization !== `Bearer ${token}`) {
      outgoing.writeHead(401).end("no");
      return;
    }
    const { method, headers, url = "/" } = incoming;
    const broken = cut(url);
    const passed = request(`${target}${url}`, { method, headers: { ...headers, authorization } }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      if (broken === null) {
        answer.pipe(outgoing);
        return;
      }
      let left = broken.bytes;
      answer.on("data", (bytes: Buffer) => {
        if (left === 0) return;
        const part = bytes.subarray(0, left);
        left -= part.length;
        outgoing.write(part);
        if (left === 0) void broken.when().finally(() => outgoing.destroy());
      });
      answer.on("end", () => {
        if (left > 0) outgoing.end();
      });
    });
    passed.on("error", () => outgoing.destroy());
    incoming.pipe(passed);
  };
  const server = tls === null ? createServer(handle) : createTlsServer(tls, handle);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `${tls === null ? "http" : "https"}://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
