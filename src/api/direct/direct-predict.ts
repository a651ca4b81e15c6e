import { channel } from "node:diagnostics_channel";
import type { Admission } from "../admission.ts";
import type { ApiContext } from "../api-context.ts";
import { type ApiSecurity, securityHeaders } from "../auth/api-auth.ts";
import { HTTP_REQUEST_CHANNEL, HTTP_START_CHANNEL, type HttpRequestEvent } from "../channels.ts";
import type { Prediction } from "../models/model-host.ts";
import { type PredictForm, predictForms } from "../predict-forms.ts";
import { PROBLEM_TYPE, toProblem } from "../problem.ts";
import { requestTimeout } from "../request-deadlines.ts";
import type { DirectHandler } from "./direct-connections.ts";

export interface DirectPredictOptions {
  readonly api: ApiContext;
  readonly admission: Admission;
  readonly security: ApiSecurity | null;
  /** Each request has to be asked for its connection's certificate: all go by the route. */
  readonly asksForCertificates: boolean;
  /** See `server.requestTimeoutMs` in the configuration. */
  readonly requestTimeoutMs: number | null;
  readonly log: { error(facts: object, message: string): void };
}

/** As Fastify's route has it. */
const ROUTE = "/v1/models/:name/predict";
const starts = channel(HTTP_START_CHANNEL);
const requests = channel(HTTP_REQUEST_CHANNEL);

/**
 * Answers what is plain of `POST /v1/models/{name}/predict` as its route does, at less than half of the cost: no hooks,
 * no objects of the body, no promises. Where keys are asked for or requests are traced, all go by the route.
 */
export function directPredict(options: DirectPredictOptions): DirectHandler {
  const { api, admission, security, asksForCertificates, requestTimeoutMs, log } = options;
  const formOf = predictForms(api);
  const asksForKeys = security !== null && security.keysFile !== null;
  const lines = Object.entries(security === null ? {} : securityHeaders(security))
    .map(headerLine)
    .join("");
  const json = `${lines}content-type: application/json; charset=utf-8\r\n`;
  let failures = 0;

  function knownForm(name: string): PredictForm | null {
    try {
      return formOf(api.models.get(name).model);
    } catch {
      return null;
    }
  }

  return (head, bytes, from, answer) => {
    if (asksForKeys || asksForCertificates || starts.hasSubscribers) return false;
    const arrived = performance.now();
    if (!admission.admits("predict")) {
      answer(admission.refuse("predict"));
      return true;
    }
    const form = knownForm(head.model);
    const rows = form?.read?.(bytes, from, bytes.length) ?? null;
    const timeoutMs = requestTimeout(head.timeout, requestTimeoutMs);
    if (form === null || rows === null || timeoutMs === undefined) return false;

    function done(status: number, headers: string, body: string): void {
      answer({ status, headers, body });
      if (!requests.hasSubscribers) return;
      const seconds = (performance.now() - arrived) / 1_000;
      requests.publish({ method: "POST", route: ROUTE, status, seconds } satisfies HttpRequestEvent);
    }
    const request = {
      rows,
      ...(timeoutMs === null ? {} : { deadline: arrived + timeoutMs }),
      answered: (prediction: Prediction) => done(200, json, form.write(prediction, false)),
      failed(error: unknown) {
        const id = `direct-${++failures}`;
        const { status, body, retryAfter } = toProblem(error, id);
        if (status >= 500) log.error({ err: error, reqId: id, route: ROUTE, status }, "request failed");
        const retry = retryAfter === null ? "" : headerLine(["retry-after", String(retryAfter)]);
        done(status, `${lines}${retry}${headerLine(["content-type", PROBLEM_TYPE])}`, body);
      },
    };
    return api.models.predictSoon(head.model, request, arrived);
  };
}

function headerLine([name, value]: readonly [string, string]): string {
  return `${name}: ${value}\r\n`;
}
