import { millraceError } from "../definitions/errors.ts";
import type { AnyFeatureService, InferLookup, InferRow } from "../definitions/feature-service.ts";
import { Meta } from "../definitions/meta.ts";
import type { Model } from "../definitions/model.ts";
import { type AnswerType, readValue, writeLookups } from "./answer-values.ts";
import { type CallOptions, postJson, type SendOptions } from "./send.ts";

export interface MillraceClientOptions {
  /** Of the server, "https://features.example.com". A path before `/v1` is kept. */
  readonly url: string;
  /** An API key with the scopes `predict` and `read`; needed where the server asks for keys. */
  readonly apiKey?: string;
  /** Milliseconds for a whole call, tries and pauses included. Default 10,000. */
  readonly timeoutMs?: number;
  /** Tries after the first, for lost connections and the answers 429, 502 and 503. Default 3; 0 for none. */
  readonly retries?: number;
  /** The longest pause before the first retry, milliseconds; it doubles with each, up to 5 s. Default 50. */
  readonly pauseMs?: number;
  /** Sends the requests. Default: the platform's, which keeps connections open between calls. */
  readonly fetch?: typeof fetch;
  /** From 0 up to 1; draws the pauses. Default `Math.random`. */
  readonly random?: () => number;
}

/** Of one feature: there, known to be null, of an entity without events, older than its ttl, or not readable. */
export type FeatureStatus = "PRESENT" | "NULL_VALUE" | "NOT_FOUND" | "OUTSIDE_MAX_AGE" | "UNAVAILABLE";

export interface ReadOptions extends CallOptions {
  /** The moment to read features at. Default: now, by the sources' clock. */
  readonly asOf?: Date;
  /** Refuse with `AS_OF_TOO_EARLY` where an event at or after the moment was applied. Default false: flagged. */
  readonly exact?: boolean;
}

/** A model's answer for one row. */
export interface Prediction<Out> {
  readonly prediction: Out;
  /** The version that answered; null if the declared fallback did. */
  readonly version: string | null;
  /** The moment that features were read at; null if the fallback answered. */
  readonly asOf: Date | null;
  /** The model did not answer in time: this is its declared fallback. */
  readonly isFallback: boolean;
  /** An event at or after `asOf` was applied already, so a window may hold more than it should. */
  readonly headOverlap: boolean;
}

/** The features of one row. */
export interface FeatureRow<Row> {
  readonly features: Row;
  readonly statuses: { readonly [Feature in keyof Row]: FeatureStatus };
  readonly asOf: Date;
  readonly headOverlap: boolean;
}

type ModelInput<M> = M extends { readonly "~in"?: (input: infer In) => unknown } ? In : never;
type ModelOutput<M> = M extends { readonly "~out"?: infer Out } ? Out : never;
// biome-ignore lint/suspicious/noExplicitAny: the widest model, for constraints
type AnyModel = Model<any, any>;

/** Calls a Millrace server. Typed by the declarations; int64 is a bigint and a timestamp a Date, both ways. */
export interface MillraceClient {
  /** Predicts for one lookup: entity keys and request columns. */
  predict<M extends AnyModel>(
    model: M,
    lookup: ModelInput<M>,
    options?: ReadOptions,
  ): Promise<Prediction<ModelOutput<M>>>;
  /** All with one version of the model, in the lookups' order. */
  predictBatch<M extends AnyModel>(
    model: M,
    lookups: readonly ModelInput<M>[],
    options?: ReadOptions,
  ): Promise<readonly Prediction<ModelOutput<M>>[]>;
  /** The row of a feature service, now or at `asOf`. `model`: with the transforms that its version learned. */
  getOnlineFeatures<S extends AnyFeatureService>(
    service: S,
    lookup: InferLookup<S>,
    options?: ReadOptions & { readonly model?: AnyModel },
  ): Promise<FeatureRow<InferRow<S>>>;
  getOnlineFeaturesBatch<S extends AnyFeatureService>(
    service: S,
    lookups: readonly InferLookup<S>[],
    options?: ReadOptions & { readonly model?: AnyModel },
  ): Promise<readonly FeatureRow<InferRow<S>>[]>;
}

/** Makes a client. It holds nothing that has to be closed. @throws `CLIENT_INVALID` */
export function millraceClient(options: MillraceClientOptions): MillraceClient {
  const base = checkUrl(options.url);
  const send: SendOptions = {
    fetch: options.fetch ?? fetch,
    headers: {
      "content-type": "application/json",
      accept: "application/json",
      ...(options.apiKey === undefined ? {} : { authorization: `Bearer ${options.apiKey}` }),
    },
    timeoutMs: options.timeoutMs ?? 10_000,
    retries: options.retries ?? 3,
    pauseMs: options.pauseMs ?? 50,
    random: options.random ?? Math.random,
  };

  async function predictBatch<M extends AnyModel>(
    model: M,
    lookups: readonly ModelInput<M>[],
    call: ReadOptions = {},
  ): Promise<readonly Prediction<ModelOutput<M>>[]> {
    if (lookups.length === 0) return [];
    const { name, output } = (model as Model<unknown, unknown>)[Meta];
    const url = `${base}/v1/models/${encodeURIComponent(name)}/predict`;
    const answer = (await postJson(url, { rows: writeLookups(lookups), ...moment(call) }, send, call)) as PredictAnswer;
    const rows = checkCount(answer.predictions, lookups.length, url);
    return rows.map((row, i) => ({
      // The declaration's columns are the type.
      prediction: Object.fromEntries(
        output.map(({ name, type }) => [name, readValue(row[name], type)]),
      ) as ModelOutput<M>,
      version: answer.version,
      asOf: answer.as_of === null ? null : new Date(answer.as_of),
      isFallback: answer.fallback === true,
      headOverlap: answer.head_overlap?.[i] === true,
    }));
  }

  async function getOnlineFeaturesBatch<S extends AnyFeatureService>(
    service: S,
    lookups: readonly InferLookup<S>[],
    call: ReadOptions & { readonly model?: AnyModel } = {},
  ): Promise<readonly FeatureRow<InferRow<S>>[]> {
    if (lookups.length === 0) return [];
    const url = `${base}/v1/features/online`;
    const body = {
      service: service[Meta].name,
      rows: writeLookups(lookups),
      ...(call.model === undefined ? {} : { model: (call.model as Model<unknown, unknown>)[Meta].name }),
      ...moment(call),
    };
    const answer = (await postJson(url, body, send, call)) as FeaturesAnswer;
    const { columns } = answer;
    const types = columns.map((column, i) => typeOf(service, column, answer.types[i]!));
    return checkCount(answer.rows, lookups.length, url).map((row, i) => ({
      // The server answers the columns of the service that the types come from, else PLAN_DIFFERS shows at its start.
      features: Object.fromEntries(columns.map((column, c) => [column, readValue(row[c], types[c]!)])) as InferRow<S>,
      statuses: Object.fromEntries(columns.map((column, c) => [column, answer.statuses[i]![c]])) as FeatureRow<
        InferRow<S>
      >["statuses"],
      asOf: new Date(answer.as_of),
      headOverlap: answer.head_overlap?.[i] === true,
    }));
  }

  return {
    predictBatch,
    getOnlineFeaturesBatch,
    predict: async (model, lookup, call) => (await predictBatch(model, [lookup], call))[0]!,
    getOnlineFeatures: async (service, lookup, call) => (await getOnlineFeaturesBatch(service, [lookup], call))[0]!,
  };
}

interface PredictAnswer {
  readonly version: string | null;
  readonly as_of: string | null;
  readonly predictions: readonly Readonly<Record<string, unknown>>[];
  readonly fallback?: boolean;
  readonly head_overlap?: readonly boolean[];
}

interface FeaturesAnswer {
  readonly as_of: string;
  readonly columns: readonly string[];
  readonly types: readonly AnswerType["kind"][];
  readonly rows: readonly (readonly unknown[])[];
  readonly statuses: readonly (readonly FeatureStatus[])[];
  readonly head_overlap?: readonly boolean[];
}

/** The answer names the kinds; what a list holds is in the declaration. */
function typeOf(service: AnyFeatureService, column: string, kind: AnswerType["kind"]): AnswerType {
  if (kind !== "list") return { kind };
  const expression = service[Meta].features.find(({ name }) => name === column)?.expression;
  const item = expression !== undefined && "type" in expression ? expression.type.item : undefined;
  return item === undefined ? { kind } : { kind, item };
}

function moment({ asOf, exact }: ReadOptions): Readonly<Record<string, unknown>> {
  return { ...(asOf === undefined ? {} : { as_of: asOf.toISOString() }), ...(exact === undefined ? {} : { exact }) };
}

function checkUrl(url: string): string {
  if (URL.canParse(url) && /^https?:$/.test(new URL(url).protocol)) return url.replace(/[/]+$/, "");
  throw millraceError("CLIENT_INVALID", `millraceClient({ url }) needs the server's http or https address.`);
}

function checkCount<T>(rows: readonly T[] | undefined, count: number, url: string): readonly T[] {
  if (Array.isArray(rows) && rows.length === count) return rows;
  throw millraceError("ANSWER_INVALID", `${url} did not answer ${count} rows: is this Millrace's address?`, {
    kind: "operational",
  });
}
