import { AsyncLocalStorage } from "node:async_hooks";
import { channel } from "node:diagnostics_channel";
import type { Admission } from "../admission.ts";
import type { ApiContext } from "../api-context.ts";
import { type ApiSecurity, originHeaders, securityHeaders } from "../auth/api-auth.ts";
import type { Credential } from "../auth/api-keys.ts";
import { type Caller, credentialOfHeaders, type KeyGuard } from "../auth/key-guard.ts";
import { HTTP_REQUEST_CHANNEL, HTTP_START_CHANNEL, type HttpRequestEvent, type HttpStartEvent } from "../channels.ts";
import { INFERENCE_TYPE, inferenceProblem } from "../open_inference/infer-model.ts";
import { PROBLEM_TYPE, toProblem } from "../problem.ts";
import { requestTimeout } from "../request-deadlines.ts";
import type { DirectAnswer, DirectHandler, DirectReply } from "./direct-connections.ts";
import { type DirectWork, headerLines } from "./direct-exchange.ts";
import { directInfer } from "./direct-infer.ts";
import { directPredict } from "./direct-predict.ts";
import type { PlainHead } from "./request-head.ts";

export interface DirectRequestsOptions {
  readonly api: ApiContext;
  readonly admission: Admission;
  readonly security: ApiSecurity | null;
  /** The one that checks requests of the routes, too; null where no keys are asked for. */
  readonly guard: KeyGuard | null;
  /** Each request has to be asked for its connection's certificate: all go by the route. */
  readonly asksForCertificates: boolean;
  /** See `server.requestTimeoutMs` in the configuration. */
  readonly requestTimeoutMs: number | null;
  readonly log: { error(facts: object, message: string): void };
}

/** As Fastify's routes have them. */
const ROUTES = { predict: "/v1/models/:name/predict", infer: "/v2/models/:name/infer" } as const;
/** Larger bodies are not gathered where there is too much work already. */
const LARGE_BYTES = 65_536;
const starts = channel(HTTP_START_CHANNEL);
const requests = channel(HTTP_REQUEST_CHANNEL);

/**
 * Answers what is plain of the routes of predictions as they do, at less than half of the cost: no hooks, and for most
 * requests no objects of the body and no promises. Keys, rates, headers of security, deadlines, traces and metrics are
 * those of the routes.
 */
export function directRequests(options: DirectRequestsOptions): DirectHandler {
  const { api, admission, security, guard, asksForCertificates, requestTimeoutMs, log } = options;
  const works: Readonly<Record<PlainHead["kind"], DirectWork>> = {
    predict: directPredict(api),
    infer: directInfer(api),
  };
  const always = headerLines(security === null ? {} : securityHeaders(security));
  /** Heads are remembered, and with them what they show. */
  const credentials = new WeakMap<PlainHead, Credential | null>();
  let failures = 0;

  function credentialOf(head: PlainHead): Credential | null {
    let credential = credentials.get(head);
    if (credential === undefined) {
      credential = credentialOfHeaders(head.authorization, head.apiKey);
      credentials.set(head, credential);
    }
    return credential;
  }

  /** The headers that every answer to it has. */
  function linesFor({ origin }: PlainHead): string {
    const allowed = origin === undefined || security === null ? null : originHeaders(security, origin);
    return allowed === null ? always : always + headerLines(allowed);
  }

  /** The answer to a request that failed. */
  function failure(head: PlainHead, error: unknown): DirectAnswer {
    const { kind } = head;
    const id = `direct-${++failures}`;
    const { status, body, retryAfter } = kind === "infer" ? inferenceProblem(error, id) : toProblem(error, id);
    if (status >= 500) log.error({ err: error, reqId: id, route: ROUTES[kind], status }, "request failed");
    const headers = {
      ...(status === 401 && kind === "predict" ? { "www-authenticate": 'Bearer realm="millrace"' } : {}),
      ...(retryAfter === null ? {} : { "retry-after": String(retryAfter) }),
      "content-type": kind === "infer" ? INFERENCE_TYPE : PROBLEM_TYPE,
    };
    return { status, headers: linesFor(head) + headerLines(headers), body };
  }

  /** Without a key that may do it a body is not gathered, nor where it would have to wait too long. */
  function look(head: PlainHead, refuse: (answer: DirectAnswer) => boolean): void {
    if (asksForCertificates) return;
    const began = performance.now();
    const { kind } = head;
    // Whether a small one is taken shows when it is whole, as if it had come at once.
    if (head.bodyBytes > LARGE_BYTES && !admission.admits("predict")) {
      refuse(admission.refuse("predict", kind === "infer"));
      return;
    }
    if (guard === null) return;
    const fail = (error: unknown): void => {
      const answer = failure(head, error);
      if (!refuse(answer) || !requests.hasSubscribers) return;
      const { status } = answer;
      const seconds = (performance.now() - began) / 1_000;
      requests.publish({ method: "POST", route: ROUTES[kind], status, seconds } satisfies HttpRequestEvent);
    };
    try {
      // It counts when it is whole.
      void guard.look(credentialOf(head), "predict")?.catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  function handle(head: PlainHead, bytes: Buffer, from: number, reply: DirectReply): boolean {
    if (asksForCertificates) return false;
    const arrived = performance.now();
    const { kind } = head;
    if (!admission.admits("predict", reply.waitedMs)) {
      reply.answer(admission.refuse("predict", kind === "infer"));
      return true;
    }
    const timeoutMs = requestTimeout(head.timeout, requestTimeoutMs);
    if (timeoutMs === undefined) return false;
    const deadline = timeoutMs === null ? undefined : (reply.begunAt ?? arrived) + timeoutMs;
    /** Names it for those who trace. */
    const request = starts.hasSubscribers ? {} : undefined;

    function done(status: number, headers: string, body: string | Buffer): void {
      reply.answer({ status, headers: linesFor(head) + headers, body });
      note(status);
    }

    function note(status: number): void {
      if (!requests.hasSubscribers) return;
      const seconds = (performance.now() - arrived) / 1_000;
      const event = { method: "POST", route: ROUTES[kind], status, seconds };
      requests.publish((request === undefined ? event : { ...event, request }) satisfies HttpRequestEvent);
    }

    function fail(error: unknown): void {
      const answer = failure(head, error);
      reply.answer(answer);
      note(answer.status);
    }

    function work(): boolean {
      const { isGone } = reply;
      return works[kind](head, bytes, from, {
        arrived,
        deadline: deadline === undefined ? { isGone } : { deadline, isGone },
        inContext: request === undefined ? null : AsyncLocalStorage.snapshot(),
        answer: (headers, body) => done(200, headers, body),
        fail,
      });
    }

    function begin(): boolean {
      if (request === undefined) return work();
      const { traceparent, tracestate } = head;
      const seconds = (performance.now() - (reply.begunAt ?? arrived)) / 1_000;
      const event = { request, method: "POST", route: ROUTES[kind], traceparent, tracestate, seconds };
      return starts.runStores(event satisfies HttpStartEvent, work) as boolean;
    }

    if (guard === null) return begin();
    let caller: Caller | Promise<Caller>;
    try {
      caller = guard.check(credentialOf(head), "predict");
    } catch (error) {
      fail(error);
      return true;
    }
    if (caller instanceof Promise) {
      caller.then((found) => letIn(found, begin, guard, reply)).catch(fail);
      return true;
    }
    if (begin()) return true;
    guard.giveBack(caller);
    return false;
  }

  return { look, handle };
}

function letIn(caller: Caller, begin: () => boolean, guard: KeyGuard, reply: DirectReply): void {
  if (begin()) return;
  guard.giveBack(caller);
  reply.decline();
}
