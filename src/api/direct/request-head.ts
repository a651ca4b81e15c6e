/** What a plain request for a prediction says ahead of its body. */
export interface PlainHead {
  /** The model's name as the path has it. */
  readonly model: string;
  readonly bodyBytes: number;
  /** `X-Request-Timeout-Ms` as it was sent. */
  readonly timeout: string | undefined;
  /** `Authorization` and `X-API-Key` as they were sent. */
  readonly authorization: string | undefined;
  readonly apiKey: string | undefined;
}

const LINE = /^POST \/v1\/models\/([A-Za-z0-9_-]+)\/predict HTTP\/1\.1$/;
/** Visible ASCII, spaces and tabs: what needs care in a header is not plain. */
const HEADER = /^([A-Za-z0-9-]+):[ \t]*([\x20-\x7e\t]*?)[ \t]*$/;
const JSON_TYPE = /^application\/json(?:; ?charset=utf-8)?$/i;
/** Headers that change nothing about a prediction. */
const IDLE =
  /^(?:host|user-agent|accept|accept-(?:encoding|language)|cache-control|pragma|from|forwarded|via|traceparent|tracestate|baggage|x-(?:request-id|correlation-id|forwarded-[a-z-]+|real-ip|b3-[a-z]+|envoy-[a-z-]+|amzn-[a-z-]+))$/;

/**
 * Reads the head of a request, without the empty line that ends it: `POST` of JSON to a model's predict route in
 * HTTP/1.1 over a connection that stays open, with the length of its body, and each header once. Null for all else, which
 * a whole HTTP parser reads.
 */
export function readPlainHead(text: string): PlainHead | null {
  const [first, ...lines] = text.split("\r\n");
  const model = LINE.exec(first!)?.[1];
  if (model === undefined) return null;
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
  if (!headers.has("host") || !JSON_TYPE.test(take("content-type") ?? "")) return null;
  if ((take("connection") ?? "keep-alive").toLowerCase() !== "keep-alive") return null;
  const length = take("content-length") ?? "";
  const timeout = take("x-request-timeout-ms");
  const authorization = take("authorization");
  const apiKey = take("x-api-key");
  if (!/^[1-9]\d{0,8}$/.test(length)) return null;
  for (const name of headers.keys()) if (!IDLE.test(name)) return null;
  return { model, bodyBytes: Number(length), timeout, authorization, apiKey };
}
