import { Agent, type IncomingHttpHeaders, request } from "node:http";
import { Agent as TlsAgent, request as tlsRequest } from "node:https";
import { Readable } from "node:stream";
import type { ClientTls } from "./client-tls.ts";

export interface HttpRequest {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Of an https address. Default: the system's authorities are trusted. */
  readonly tls?: ClientTls;
}

const agent = new Agent({ keepAlive: false });

/**
 * As `fetch`, which gives an answer up whose first byte takes above five minutes: this waits as long as the other
 * process lives. A training set may take longer than that.
 */
export function httpRequest(url: string, { method, headers = {}, body, tls }: HttpRequest): Promise<Response> {
  return new Promise((resolve, reject) => {
    // Not every method has Node say by itself that a body comes.
    const length = body === undefined ? {} : { "content-length": String(Buffer.byteLength(body)) };
    const isTls = url.startsWith("https:");
    const options = {
      method,
      headers: { ...headers, ...length },
      agent: isTls ? new TlsAgent({ keepAlive: false, ...tls }) : agent,
    };
    const sent = (isTls ? tlsRequest : request)(url, options, (answer) => {
      const { statusCode = 500 } = answer;
      const isEmpty = statusCode === 204 || statusCode === 304;
      if (isEmpty) answer.resume();
      // Node's stream and the web's have types of their own for the same bytes.
      const content = isEmpty ? null : (Readable.toWeb(answer) as unknown as ReadableStream<Uint8Array>);
      resolve(new Response(content, { status: statusCode, headers: webHeaders(answer.headers) }));
    });
    // A host that vanished is noticed although nothing is sent for long.
    sent.on("socket", (socket) => socket.setKeepAlive(true, 30_000));
    sent.on("error", reject);
    sent.end(body);
  });
}

function webHeaders(headers: IncomingHttpHeaders): Headers {
  const made = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    for (const one of [value ?? []].flat()) made.append(name, one);
  }
  return made;
}
