import { promisify } from "node:util";
import { deflate, deflateSync, gzip, gzipSync, unzip } from "node:zlib";
import { apiError } from "./api-errors.ts";

/** Below this many bytes an answer is sent as it is. */
const MIN_BYTES = 1_024;
/** Below this many bytes, compressing takes less time than to give the work to another thread. */
const SYNC_BYTES = 32_768;
/** The fastest: predictions are compressed once and read once. */
const LEVEL = 1;

const unzipAsync = promisify<Buffer, { maxOutputLength: number }, Buffer>(unzip);
const gzipAsync = promisify<Buffer, { level: number }, Buffer>(gzip);
const deflateAsync = promisify<Buffer, { level: number }, Buffer>(deflate);

/** The body without its Content-Encoding: gzip, deflate or none. @throws `MEDIA_TYPE_UNSUPPORTED`, `BODY_TOO_LARGE`, `BODY_MALFORMED` */
export async function decodeContent(body: Buffer, encoding: string | undefined, maxBytes: number): Promise<Buffer> {
  const name = checkContentEncoding(encoding);
  if (name === null) return body;
  try {
    return await unzipAsync(body, { maxOutputLength: maxBytes });
  } catch (cause) {
    if (cause instanceof Error && "code" in cause && cause.code === "ERR_BUFFER_TOO_LARGE") {
      throw apiError(
        "BODY_TOO_LARGE",
        `The body is larger than ${maxBytes} bytes once decompressed: send it in parts.`,
      );
    }
    throw apiError("BODY_MALFORMED", `The body is not ${name}, as its Content-Encoding says.`, { cause });
  }
}

/** `gzip`, `deflate`, or null for none. @throws `MEDIA_TYPE_UNSUPPORTED` */
export function checkContentEncoding(encoding: string | undefined): "gzip" | "deflate" | null {
  const name = encoding?.trim().toLowerCase() ?? "identity";
  if (name === "identity" || name === "") return null;
  if (name === "gzip" || name === "x-gzip") return "gzip";
  if (name === "deflate") return "deflate";
  throw apiError(
    "MEDIA_TYPE_UNSUPPORTED",
    `The Content-Encoding ${name.slice(0, 50)} is not read here: send gzip, deflate or none.`,
  );
}

/** The best encoding that an Accept-Encoding names and that is written here. */
export function acceptedEncoding(accept: string | undefined): "gzip" | "deflate" | null {
  if (accept === undefined) return null;
  const names = accept
    .toLowerCase()
    .split(",")
    .map((one) => one.trim());
  const takes = (name: string): boolean =>
    names.some((one) => one.split(";")[0] === name && !/;\s*q=0(\.0*)?$/.test(one));
  return takes("gzip") ? "gzip" : takes("deflate") ? "deflate" : null;
}

/** Compresses an answer if the client takes that and it is worth it. */
export async function encodeContent(
  body: Buffer | string,
  accept: string | undefined,
): Promise<{ readonly body: Buffer | string; readonly encoding: "gzip" | "deflate" | null }> {
  const encoding = body.length < MIN_BYTES ? null : acceptedEncoding(accept);
  if (encoding === null) return { body, encoding };
  const bytes = Buffer.from(body as string);
  const options = { level: LEVEL };
  if (bytes.length < SYNC_BYTES) {
    return { body: encoding === "gzip" ? gzipSync(bytes, options) : deflateSync(bytes, options), encoding };
  }
  return { body: await (encoding === "gzip" ? gzipAsync : deflateAsync)(bytes, options), encoding };
}
