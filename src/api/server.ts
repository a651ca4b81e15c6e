import { channel } from "node:diagnostics_channel";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { type Socket, Server as TcpServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  type FastifyServerOptions,
  LogController,
} from "fastify";
import { type Logger, type LoggerOptions, pino } from "pino";
import { adminGuard } from "./admin-guard.ts";
import { type Admission, createAdmission } from "./admission.ts";
import type { ApiContext } from "./api-context.ts";
import { apiError } from "./api-errors.ts";
import { type ApiSecurity, apiAuth } from "./auth/api-auth.ts";
import { HTTP_REQUEST_CHANNEL, HTTP_START_CHANNEL, type HttpRequestEvent, type HttpStartEvent } from "./channels.ts";
import { directConnections } from "./direct/direct-connections.ts";
import { directRequests } from "./direct/direct-requests.ts";
import { listenFailure } from "./listen-failure.ts";
import { describeApi } from "./openapi.ts";
import { PROBLEM_TYPE, toProblem } from "./problem.ts";
import { parseBody } from "./request-body.ts";
import { requestDeadlines } from "./request-deadlines.ts";
import { backfillRoutes } from "./routes/backfills.ts";
import { catalogRoutes } from "./routes/catalog.ts";
import { consoleRoutes } from "./routes/console.ts";
import { erasureRoutes } from "./routes/erasures.ts";
import { eventRoutes } from "./routes/events.ts";
import { feastRoutes } from "./routes/feast.ts";
import { historicalFeatureRoutes } from "./routes/features-historical.ts";
import { onlineFeatureRoutes } from "./routes/features-online.ts";
import { healthRoutes } from "./routes/health.ts";
import { mlflowScoringRoutes } from "./routes/mlflow-scoring.ts";
import { modelWebhookRoutes } from "./routes/model-webhooks.ts";
import { modelRoutes } from "./routes/models.ts";
import { openInferenceRoutes } from "./routes/open-inference.ts";
import { operationRoutes } from "./routes/operations.ts";
import { operatorRoutes } from "./routes/operator.ts";
import { predictRoutes } from "./routes/predict.ts";
import { predictBatchRoutes } from "./routes/predict-batch.ts";
import { predictionRoutes } from "./routes/predictions.ts";
import { qualityRoutes } from "./routes/quality.ts";
import { registryRoutes } from "./routes/registry.ts";
import { trainingSetRoutes } from "./routes/training-sets.ts";
import {
  type ApiCertificate,
  type ApiTls,
  asksEachRequest,
  clientCertificates,
  replaceCertificate,
  tlsServerOptions,
} from "./server-tls.ts";
import { takenConnections } from "./taken-connections.ts";

export interface ApiServerOptions extends ApiContext {
  /** A pino logger, or its options. */
  readonly log: Logger | LoggerOptions;
  /** What the admin routes ask for as a bearer token; null: nobody may use them. */
  readonly token: string | null;
  /** Who may do what. Default: whoever reaches the server may read and predict, and no headers of security are set. */
  readonly security?: ApiSecurity;
  /** Default: plain HTTP. */
  readonly tls?: ApiTls;
  /** How much work is taken, and for how long. Default: all of it, for as long as it takes. */
  readonly load?: {
    /** See `server.requestTimeoutMs` in the configuration. */
    readonly requestTimeoutMs: number | null;
    /** See `server.queueDelayTargetMs`. */
    readonly queueDelayTargetMs: number | null;
    /** See `server.drainSeconds`. */
    readonly drainSeconds: number;
  };
}

/** The HTTP server. */
export interface ApiServer {
  /** Port 0 takes a free one. */
  listen(address: { readonly host: string; readonly port: number }): Promise<{ readonly url: string }>;
  /** Serves a connection that another process accepted. False: the server is ending, and has not touched it. */
  take(connection: Socket): boolean;
  /** Answers 503 on `/readyz` from now on, takes no new connections, finishes what is in flight, closes. */
  drain(): Promise<void>;
  close(): Promise<void>;
  /** Every route, as "POST /v1/models/:name/predict". */
  readonly routes: readonly string[];
  /** Of a server with `tls`: for connections from now on. */
  setCertificate(certificate: ApiCertificate): void;
  /** A request without a network, for tests. */
  readonly inject: FastifyInstance["inject"];
  [Symbol.asyncDispose](): Promise<void>;
}

/** The kernel holds as many connections that were not accepted yet, as far as it is allowed to (`net.core.somaxconn`). */
const BACKLOG = 4_096;
/** Larger bodies are read by Node's HTTP parser, bytes. */
const MOST_DIRECT_BYTES = 2 ** 22;
/** How long a whole request may take to arrive, milliseconds. */
const REQUEST_MS = 120_000;
/**
 * Clients that send all the time may have sent once more on a connection that is idle here: so long a server that stops
 * goes on reading, and says with each answer that it is the last of its connection. Milliseconds.
 */
const LAST_REQUESTS_MS = 100;
/** How long requests in flight may take once the server stops, unless the options say otherwise, seconds. */
const DRAIN_SECONDS = 10;

const starts = channel(HTTP_START_CHANNEL);
const requests = channel(HTTP_REQUEST_CHANNEL);

export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const log = "child" in options.log ? options.log : pino(options.log);
  const { tls } = options;
  const app = fastify({
    ...(tls === undefined ? {} : { https: tlsServerOptions(tls) }),
    // Fastify asks for a logger of its own type, which pino's is in all that it uses.
    loggerInstance: log as FastifyBaseLogger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: options.limits.bodyLimitBytes,
    // A client that sends a byte now and then does not hold a connection for ever.
    requestTimeout: REQUEST_MS,
    // While closing, what still comes over open connections is answered.
    return503OnClosing: false,
    routerOptions: { ignoreTrailingSlash: true },
    forceCloseConnections: "idle",
    frameworkErrors: sendProblem,
    clientErrorHandler: refuseBrokenRequest,
    // Types differ by the kind of server; what is used here does not.
  } as FastifyServerOptions) as FastifyInstance;
  let isDraining = false;
  /** What still comes over open connections is not waited for any more. */
  let isFinishing = false;
  let closing: Promise<void> | null = null;

  // Bodies are checked by the routes, whose errors say more; the schemas are documentation.
  app.setValidatorCompiler(() => () => true);
  app.setSerializerCompiler(() => (value) => JSON.stringify(value, plainBigint));
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, text, done) => {
    try {
      done(null, parseBody(text as string));
    } catch (error) {
      done(error as Error);
    }
  });
  app.setErrorHandler(sendProblem);
  // Only now: what is bound to an asynchronous context does not outlast the reading of a body.
  app.addHook("preHandler", (request, reply, done) => {
    if (!starts.hasSubscribers) return done();
    const { traceparent, tracestate } = request.headers;
    const event: HttpStartEvent = {
      request: request.raw,
      method: request.method,
      route: request.routeOptions.url ?? "unknown",
      traceparent: typeof traceparent === "string" ? traceparent : undefined,
      tracestate: typeof tracestate === "string" ? tracestate : undefined,
      seconds: reply.elapsedTime / 1_000,
    };
    starts.runStores(event, done);
  });
  app.addHook("onSend", (_request, reply, payload, done) => {
    if (isDraining) reply.header("connection", "close");
    done(null, payload);
  });
  app.addHook("onResponse", (request, reply, done) => {
    if (requests.hasSubscribers) {
      requests.publish({
        request: request.raw,
        method: request.method,
        route: request.routeOptions.url ?? "unknown",
        status: reply.statusCode,
        seconds: reply.elapsedTime / 1_000,
      } satisfies HttpRequestEvent);
    }
    done();
  });

  if (tls !== undefined) clientCertificates(app, tls);
  const guard = options.security === undefined ? null : apiAuth(app, options.security, options.token);
  requestDeadlines(app, options.load?.requestTimeoutMs ?? null);

  const routes: { readonly method: string; readonly url: string; readonly pattern: RegExp }[] = [];
  app.addHook("onRoute", ({ method, url }) => {
    const pattern = new RegExp(`^${url.replace(/[.+*?^$()[\]{}|\\]/g, "\\$&").replace(/:\w+/g, "[^/]+")}$`);
    for (const one of [method].flat()) routes.push({ method: one, url, pattern });
  });
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?", 1)[0]!;
    const allowed = [...new Set(routes.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method))];
    if (allowed.length === 0) {
      throw apiError("ROUTE_UNKNOWN", `There is no route ${request.method} ${path.slice(0, 200)}: see /docs.`);
    }
    reply.header("allow", allowed.join(", "));
    throw apiError("METHOD_NOT_ALLOWED", `This route takes ${allowed.join(", ")}, not ${request.method}.`, {
      details: { allowed },
    });
  });

  const admin = adminGuard(options.token);
  await describeApi(app, options);
  predictRoutes(app, options);
  predictBatchRoutes(app, options);
  openInferenceRoutes(app, options, admin, () => isDraining);
  mlflowScoringRoutes(app, options, () => isDraining);
  modelRoutes(app, options, admin);
  modelWebhookRoutes(app, options);
  onlineFeatureRoutes(app, options);
  feastRoutes(app, options);
  historicalFeatureRoutes(app, options);
  trainingSetRoutes(app, options, admin);
  catalogRoutes(app, options);
  eventRoutes(app, options);
  operationRoutes(app, options, admin);
  operatorRoutes(app, options, admin);
  erasureRoutes(app, options, admin);
  backfillRoutes(app, options, admin);
  registryRoutes(app, options, admin);
  predictionRoutes(app, options, admin);
  qualityRoutes(app, options, admin);
  healthRoutes(app, options, () => isDraining);
  consoleRoutes(app, options.version);
  await app.ready();
  const admission = createAdmission({ targetDelayMs: options.load?.queueDelayTargetMs ?? null });
  if (options.load !== undefined && options.load.queueDelayTargetMs !== null) refuseBeforehand(app.server, admission);
  const direct = directConnections(
    app.server,
    directRequests({
      api: options,
      admission,
      security: options.security ?? null,
      guard,
      asksForCertificates: tls !== undefined && asksEachRequest(tls),
      requestTimeoutMs: options.load?.requestTimeoutMs ?? null,
      log,
    }),
    Math.min(options.limits.bodyLimitBytes, MOST_DIRECT_BYTES),
  );

  const taken = takenConnections(app.server);
  const close = (): Promise<void> => {
    isDraining = true;
    closing ??= (async () => {
      // An answer may wait for a replay that nobody advances any more.
      const timer = setTimeout(
        () => {
          app.server.closeAllConnections();
          direct.destroy();
          taken.destroy();
        },
        (options.load?.drainSeconds ?? DRAIN_SECONDS) * 1_000,
      );
      direct.drain();
      // Node's own way to stop listening would close idle connections at once.
      const left = new Promise<void>((resolve) => TcpServer.prototype.close.call(app.server, () => resolve()));
      await Promise.race([Promise.all([left, taken.ended()]), pause(LAST_REQUESTS_MS)]);
      isFinishing = true;
      direct.closeIdle();
      app.server.closeIdleConnections();
      await app.close();
      await Promise.all([left, taken.ended()]);
      clearTimeout(timer);
      admission.close();
    })();
    return closing;
  };
  return {
    async listen({ host, port }) {
      try {
        return { url: await app.listen({ host, port, backlog: BACKLOG }) };
      } catch (cause) {
        throw listenFailure(cause, host, port);
      }
    },
    take(connection) {
      if (!isFinishing) taken.take(connection);
      return !isFinishing;
    },
    drain: close,
    close,
    routes: routes.map(({ method, url }) => `${method} ${url}`),
    setCertificate(certificate) {
      if (tls !== undefined) replaceCertificate(app, certificate, tls);
    },
    inject: app.inject.bind(app) as FastifyInstance["inject"],
    [Symbol.asyncDispose]: close,
  };
}

/** Refuses ahead of the router, hooks and bodies: what is refused must cost little. */
function refuseBeforehand(server: Server, admission: Admission): void {
  const handlers = server.listeners("request") as ((request: IncomingMessage, response: ServerResponse) => void)[];
  server.removeAllListeners("request");
  server.on("request", (request, response) => {
    if (admission.admit(request, response)) for (const handle of handlers) handle(request, response);
  });
}

function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { status, body, retryAfter } = toProblem(error, request.id);
  if (status >= 500) request.log.error({ err: error, route: request.routeOptions.url, status }, "request failed");
  if (status === 401) reply.header("www-authenticate", 'Bearer realm="millrace"');
  if (retryAfter !== null) reply.header("retry-after", String(retryAfter));
  // A string with its own type is sent as it is.
  reply.code(status).type(PROBLEM_TYPE).send(body);
}

/** What is not HTTP at all never becomes a request. */
function refuseBrokenRequest(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) return;
  const isLong = error.code === "HPE_HEADER_OVERFLOW";
  const { body } = toProblem(
    apiError("REQUEST_INVALID", isLong ? "The headers are too long." : "This is not an HTTP/1.1 request."),
    "",
  );
  const line = isLong ? "431 Request Header Fields Too Large" : "400 Bad Request";
  socket.end(
    `HTTP/1.1 ${line}\r\nContent-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}

function plainBigint(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? (Number.isSafeInteger(Number(value)) ? Number(value) : String(value)) : value;
}
