import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, it } from "vitest";
import { httpRequest } from "../../src/cli/http-request.ts";

let server: Server | null = null;
afterEach(() => server?.close());

async function serve(answer: (response: ServerResponse) => void): Promise<string> {
  server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server!.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

it("waits for an answer longer than fetch does", async () => {
  // `fetch` gives up after five minutes, which its dispatcher says: here after no time at all.
  const name = Symbol.for("undici.globalDispatcher.1");
  const scope = globalThis as unknown as Record<symbol, { constructor: new (options: object) => object }>;
  await fetch("data:,").then((response) => response.text());
  const dispatcher = scope[name]!;
  scope[name] = new dispatcher.constructor({ headersTimeout: 1 }) as typeof dispatcher;
  try {
    const waiting: ServerResponse[] = [];
    const url = await serve((response) => waiting.push(response));
    const answered = httpRequest(url, { method: "POST", body: "{}" });
    await expect(fetch(url)).rejects.toMatchObject({ cause: { code: "UND_ERR_HEADERS_TIMEOUT" } });
    for (const response of waiting) response.setHeader("millrace-manifest", "m").end("done");
    const response = await answered;
    expect([response.status, response.headers.get("millrace-manifest"), await response.text()]).toEqual([
      200,
      "m",
      "done",
    ]);
  } finally {
    scope[name] = dispatcher;
  }
});

it("gives answers without a body, and says when nobody listens", async () => {
  const url = await serve((response) => response.writeHead(204).end());
  expect((await httpRequest(url, { method: "DELETE" })).status).toBe(204);
  await new Promise((resolve) => server!.close(resolve));
  await expect(httpRequest(url, { method: "GET" })).rejects.toMatchObject({ code: "ECONNREFUSED" });
});
