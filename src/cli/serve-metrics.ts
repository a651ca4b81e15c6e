import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { millraceError } from "../definitions/errors.ts";
import type { MetricsReader } from "../monitoring/read-side.ts";

export interface MetricsServer {
  readonly url: string;
  close(): Promise<void>;
}

/** Answers `GET /metrics` at `host:port`, or at a port of this machine alone. @throws `OPTION_INVALID`, `METRICS_UNAVAILABLE` */
export async function serveMetrics(address: string, metrics: MetricsReader): Promise<MetricsServer> {
  const [, host = "127.0.0.1", port] = /^(?:(.+):)?(\d{1,5})$/.exec(address) ?? [];
  if (port === undefined || Number(port) > 65_535) {
    throw millraceError("OPTION_INVALID", `--metrics ${address} must be a port, or host:port such as 0.0.0.0:9464.`);
  }
  const server = createServer((request, response) => {
    if (request.method !== "GET" || request.url?.split("?")[0] !== "/metrics") {
      response.writeHead(404).end();
      return;
    }
    metrics.render(request.headers.accept ?? "").then(
      ({ contentType, body }) => response.writeHead(200, { "content-type": contentType }).end(body),
      () => response.writeHead(500).end(),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) =>
      reject(
        millraceError("METRICS_UNAVAILABLE", `Cannot listen at ${address} (${cause.code}): give another --metrics.`, {
          kind: "operational",
          cause,
        }),
      ),
    );
    server.listen(Number(port), host, resolve);
  });
  const bound = server.address() as AddressInfo;
  return {
    url: `http://${host}:${bound.port}/metrics`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
