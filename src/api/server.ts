import { channel } from "node:diagnostics_channel";
import swagger from "@fastify/swagger";
import swaggerUi from "@fastify/swagger-ui";
import fastify, { type FastifyBaseLogger, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { millraceError } from "../definitions/errors.ts";
import type { Declarations } from "../feature_engineering/plan/collect-declarations.ts";
import type { FeatureStore } from "../feature_store/feature-store.ts";
import type { ApiBackend } from "./backend.ts";
import { HTTP_REQUEST_CHANNEL, type HttpRequestEvent } from "./channels.ts";
import { type Problem, problem, problemOf } from "./http-errors.ts";
import type { ModelHost } from "./models/model-host.ts";
import { featureRoutes } from "./routes/features.ts";
import { healthRoutes } from "./routes/health.ts";
import { modelRoutes } from "./routes/models.ts";
import { replayRoutes } from "./routes/replay.ts";
import { sourceRoutes } from "./routes/sources.ts";

export interface ApiServerOptions {
  readonly features: FeatureStore;
  readonly models: ModelHost;
  readonly backend: ApiBackend;
  readonly declarations: Declarations;
  /** What /readyz answers, and why not. */
  readonly readiness: () => { readonly ready: boolean; readonly reasons: readonly string[] };
  /** What /metrics answers, by the request's `Accept`. */
  readonly metrics: (accept: string) => Promise<{ readonly contentType: string; readonly body: string }>;
  readonly limits: { readonly bodyLimitBytes: number; readonly maxRows: number };
  readonly log: FastifyBaseLogger;
  /** Millrace's. */
  readonly version: string;
  /** What admin routes ask for as a bearer token; null: they are open. */
  readonly token: string | null;
}

export interface ApiServer {
  listen(address: { readonly host: string; readonly port: number }): Promise<{ readonly url: string }>;
  /** /readyz answers 503 from now on; resolves when no request is in flight any more. */
  drain(): Promise<void>;
  close(): Promise<void>;
  /** For tests: a request without a socket. */
  readonly inject: FastifyInstance["inject"];
}

/** What the routes share. */
export interface RouteContext extends ApiServerOptions {
  /** Throws `UNAUTHORIZED` unless the request carries the token. */
  admin(request: FastifyRequest): void;
  /** Throws `TOO_MANY_ROWS`. */
  checkRows(count: number): void;
  draining(): boolean;
}

const requests = channel(HTTP_REQUEST_CHANNEL);

/** Makes the HTTP API. */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { limits, token } = options;
  const app = fastify({
    loggerInstance: options.log,
    disableRequestLogging: true,
    bodyLimit: limits.bodyLimitBytes,
    forceCloseConnections: "idle",
    ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false } },
    routerOptions: { ignoreTrailingSlash: true },
  });
  let isDraining = false;
  const inFlight = new Set<string>();

  const context: RouteContext = {
    ...options,
    admin(request) {
      if (token !== null && request.headers.authorization !== `Bearer ${token}`) {
        throw millraceError(
          "UNAUTHORIZED",
          "This route is the operator's: send the token of the data folder's private file as 'Authorization: Bearer …'.",
        );
      }
    },
    checkRows(count) {
      if (count > limits.maxRows) {
        throw millraceError(
          "TOO_MANY_ROWS",
          `The request has ${count} rows, at most ${limits.maxRows} are allowed: send it in parts, or raise server.maxRows.`,
        );
      }
    },
    draining: () => isDraining,
  };

  app.setErrorHandler((error, request, reply) => sendProblem(reply, problemOf(error, request.id), error, request));
  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      problem(
        "ROUTE_UNKNOWN",
        404,
        `There is no ${request.method} ${request.url.split("?")[0]}: /docs lists the routes.`,
      ),
    ),
  );
  app.addHook("onRequest", async (request) => {
    inFlight.add(request.id);
  });
  app.addHook("onResponse", async (request, reply) => {
    inFlight.delete(request.id);
    if (!requests.hasSubscribers) return;
    requests.publish({
      method: request.method,
      route: request.routeOptions.url ?? "unknown",
      status: reply.statusCode,
      seconds: reply.elapsedTime / 1_000,
    } satisfies HttpRequestEvent);
  });

  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Millrace", version: options.version, description: "Features and predictions in real time." },
    },
  });
  await app.register(swaggerUi, { routePrefix: "/docs" });
  app.get("/openapi.json", { schema: { hide: true } }, async () => app.swagger());
  app.get("/", { schema: { hide: true } }, async () => ({
    name: "millrace",
    version: options.version,
    docs: "/docs",
    openapi: "/openapi.json",
    metrics: "/metrics",
    models: options.declarations.models.map((model) => `/v1/models/${model.name}`),
    services: options.declarations.services.map((service) => `/v1/features/services/${service.name}`),
  }));
  healthRoutes(app, context);
  modelRoutes(app, context);
  featureRoutes(app, context);
  sourceRoutes(app, context);
  replayRoutes(app, context);
  await app.ready();

  return {
    async listen({ host, port }) {
      try {
        return { url: await app.listen({ host, port }) };
      } catch (error) {
        const code = (error as { readonly code?: string }).code;
        throw millraceError(
          "ADDRESS_UNAVAILABLE",
          `Cannot listen on ${host}:${port}${code === "EADDRINUSE" ? ", another process does" : ` (${code ?? String(error)})`}: set server.port, or MILLRACE_PORT, to another port (0 takes a free one).`,
          { cause: error },
        );
      }
    },
    async drain() {
      isDraining = true;
      const deadline = performance.now() + 10_000;
      while (inFlight.size > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    close: () => app.close(),
    inject: app.inject.bind(app) as FastifyInstance["inject"],
  };
}

function sendProblem(reply: FastifyReply, body: Problem, error?: unknown, request?: FastifyRequest): FastifyReply {
  if (body.status === 500) request?.log.error({ err: error, request_id: request.id }, "request failed");
  if (body.status === 503) void reply.header("retry-after", String(body.retry_after_seconds ?? 1));
  if (body.status === 401) void reply.header("www-authenticate", "Bearer");
  return reply.code(body.status).type("application/problem+json").send(body);
}
