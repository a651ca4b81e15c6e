/** What a plain request for a prediction says ahead of its body. */
export interface PlainHead {
  /** Millrace's own route, or that of the Open Inference Protocol. */
  readonly kind: "predict" | "infer";
  /** The model's name as the path has it. */
  readonly model: string;
  readonly bodyBytes: number;
  /** `X-Request-Timeout-Ms` as it was sent. */
  readonly timeout: string | undefined;
  /** `Authorization` and `X-API-Key` as they were sent. */
  readonly authorization: string | undefined;
  readonly apiKey: string | undefined;
  readonly origin: string | undefined;
  readonly traceparent: string | undefined;
  readonly tracestate: string | undefined;
  readonly acceptEncoding: string | undefined;
  /** `Inference-Header-Content-Length` as it was sent. */
  readonly jsonBytes: string | undefined;
}

const LINE = /^POST \/(?:v1\/models\/([A-Za-z0-9_-]+)\/predict|v2\/models\/([A-Za-z0-9_-]+)\/infer) HTTP\/1\.1$/;
/** Visible ASCII, spaces and tabs: what needs care in a header is not plain. */
const HEADER = /^([A-Za-z0-9-]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*$/;
const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i;
/** Headers that change nothing about a prediction. */
const IDLE =
  /^(?:host|user-agent|accept|accept-language|cache-control|pragma|from|referer|forwarded|via|baggage|sec-(?:fetch|ch)-[a-z-]+|x-(?:request-id|correlation-id|forwarded-[a-z-]+|real-ip|b3-[a-z]+|envoy-[a-z-]+|amzn-[a-z-]+))$/;

/**
 * Reads the head of a request, without the empty line that ends it: `POST` to a model's predict route, of JSON, or to its
 * infer route in HTTP/1.1 over a connection that stays open, with the length of its body, and each header once. Null for all else, which
 * a whole HTTP parser reads.
 */
export function readPlainHead(text: string): PlainHead | null {
  const [first, ...lines] = text.split("\r\n");
  const path = LINE.exec(first!);
  if (path === null) return null;
  const kind = path[1] === undefined ? "infer" : "predict";
  const headers = new Map<string, string>();
  for (const line of lines) {
    const header = HEADER.exec(line);
    if (header === null) return null;
    const name = header[1]!.toLowerCase();
    if (headers.has(name)) return null;
    headers.set(name, header[2]!);
  }
  const take = (name: string): string | undefined => {
    const value = headers.get(name);
    headers.delete(name);
    return value;
  };
  const type = take("content-type") ?? "";
  if (!headers.has("host") || (kind === "predict" && !JSON_TYPE.test(type))) return null;
  if ((take("connection") ?? "keep-alive").toLowerCase() !== "keep-alive") return null;
  const length = take("content-length") ?? "";
  const timeout = take("x-request-timeout-ms");
  const authorization = take("authorization");
  const apiKey = take("x-api-key");
  const origin = take("origin");
  const traceparent = take("traceparent");
  const tracestate = take("tracestate");
  const acceptEncoding = take("accept-encoding");
  // To the predict route it means nothing.
  const jsonBytes = kind === "infer" ? take("inference-header-content-length") : undefined;
  if (!/^[1-9]\d{0,8}$/.test(length)) return null;
  for (const name of headers.keys()) if (!IDLE.test(name)) return null;
  return {
    kind,
    model: (path[1] ?? path[2])!,
    bodyBytes: Number(length),
    timeout,
    authorization,
    apiKey,
    origin,
    traceparent,
    tracestate,
    acceptEncoding,
    jsonBytes,
  };
}
