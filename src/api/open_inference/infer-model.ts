import type { ApiContext } from "../api-context.ts";
import { invalidRequest } from "../api-errors.ts";
import { encodeContent } from "../content-encoding.ts";
import { locateLookup } from "../locate-lookup.ts";
import { modelError } from "../models/model-errors.ts";
import type { WholeAnswers } from "../models/predict-whole.ts";
import { toProblem } from "../problem.ts";
import { readFlag, readMoment } from "../request-body.ts";
import { inferAnswer } from "./infer-answer.ts";
import { type InferRequest, readInferRequest } from "./infer-request.ts";
import { inferRows } from "./infer-rows.ts";

export interface InferCall {
  readonly model: string;
  /** The version that must answer; undefined: any. */
  readonly version?: string | undefined;
  /** The body, not compressed. */
  readonly body: Buffer;
  /** `Inference-Header-Content-Length`, null without one. */
  readonly jsonBytes: number | null;
  readonly acceptEncoding: string | undefined;
  /** On the monotonic clock, milliseconds. */
  readonly startedAt: number;
  readonly deadline?: { readonly deadline?: number; readonly isGone?: () => boolean };
}

export interface Inference {
  readonly body: Buffer | string;
  /** All that the answer says of it but its length. */
  readonly headers: Readonly<Record<string, string>>;
}

interface Inferred {
  readonly version: string | null;
  readonly count: number;
  readonly answers: WholeAnswers;
  readonly parameters: Readonly<Record<string, unknown>>;
}

/** KServe's client compares it with the whole header. */
export const INFERENCE_TYPE = "application/json";

/**
 * Answers a request of the Open Inference Protocol. The body is read before this returns.
 * @throws what `readInferRequest`, `inferRows` and the model host throw; `MODEL_VERSION_UNKNOWN`
 */
export async function inferModel(api: ApiContext, call: InferCall): Promise<Inference> {
  const { model } = api.models.get(call.model);
  const request = readInferRequest(call.body, call.jsonBytes);
  const { version, count, answers, parameters } = await predict(api, model.name, request, call);
  if (call.version !== undefined && version !== null) checkVersion(model.name, call.version, version);
  const answer = inferAnswer(model, version, count, answers, request, parameters);
  const { body, encoding } = await encodeContent(answer.body, call.acceptEncoding);
  return {
    body,
    headers: {
      ...(encoding === null ? {} : { "content-encoding": encoding }),
      ...(answer.headerLength === null
        ? { "content-type": INFERENCE_TYPE }
        : {
            "content-type": "application/octet-stream",
            "inference-header-content-length": String(answer.headerLength),
          }),
    },
  };
}

async function predict(api: ApiContext, name: string, request: InferRequest, call: InferCall): Promise<Inferred> {
  const { startedAt, deadline } = call;
  const { service } = api.models.get(name).model;
  const rows = inferRows(api.features.service(service.name), request, api.limits.maxRows);
  if (rows.form === "features") {
    const { version, answers, fallback } = await api.models.predictWhole(name, rows.rows, { startedAt, ...deadline });
    return { version, answers, count: rows.rows.count, parameters: fallback ? { fallback } : {} };
  }
  const { lookups } = rows;
  const asOf = readMoment(request.parameters.as_of, "parameters.as_of");
  const exact = readFlag(request.parameters.exact, "parameters.exact");
  try {
    const done = await api.models.predict(
      name,
      { rows: lookups, exact, ...(asOf === undefined ? {} : { asOf }), ...deadline },
      startedAt,
    );
    return {
      version: done.version,
      answers: { kind: "rows", rows: done.predictions },
      count: lookups.length,
      parameters: {
        ...(done.asOf === null ? {} : { as_of: new Date(done.asOf).toISOString() }),
        ...(done.fallback ? { fallback: true } : {}),
        ...(done.headOverlap.includes(true) ? { head_overlap: done.headOverlap } : {}),
      },
    };
  } catch (error) {
    throw locateLookup(error, api.features, service.name, lookups);
  }
}

/** @throws `MODEL_VERSION_UNKNOWN` */
export function checkVersion(name: string, wanted: string, serving: string): void {
  if (wanted === serving) return;
  throw modelError(
    "MODEL_VERSION_UNKNOWN",
    `Version ${wanted.slice(0, 100)} of model '${name}' does not serve: ${serving} does. Ask without a version, or pin it.`,
    { details: { model: name, version: wanted, serving } },
  );
}

/** Of the header `Inference-Header-Content-Length`. @throws `REQUEST_INVALID` */
export function readJsonBytes(length: string | readonly string[] | undefined): number | null {
  if (length === undefined) return null;
  if (typeof length === "string" && /^\d{1,10}$/.test(length)) return Number(length);
  throw invalidRequest("The header Inference-Header-Content-Length", "a number of bytes");
}

/** An error in the protocol's own form; the code is ours. */
export function inferenceProblem(error: unknown, requestId: string): ReturnType<typeof toProblem> {
  const problem = toProblem(error, requestId);
  const { detail, code } = JSON.parse(problem.body) as { readonly detail: string; readonly code: string };
  return { ...problem, body: JSON.stringify({ error: detail, code }) };
}
