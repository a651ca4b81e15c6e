import type { IncomingMessage } from "node:http";
import { createUnzip } from "node:zlib";
import { apiError } from "../api-errors.ts";
import { checkContentEncoding } from "../content-encoding.ts";
import { batchTooLarge } from "./batch-limits.ts";

/**
 * The body of a request piece by piece, decompressed. Ending early leaves the rest to be read and dropped, so that the
 * client gets the answer.
 * @throws `BODY_TOO_LARGE`, `BODY_MALFORMED`, `MEDIA_TYPE_UNSUPPORTED`
 */
export async function* bodyPieces(request: IncomingMessage, maxBytes: number): AsyncGenerator<Buffer> {
  const encoding = checkContentEncoding(request.headers["content-encoding"]);
  let bytes = 0;
  const unzip = encoding === null ? null : request.pipe(createUnzip());
  // An upload that breaks off ends the pipe without a word.
  const breakOff = (): void => void (request.complete || unzip?.destroy(new Error("broken off")));
  request.once("close", breakOff);
  const pieces: AsyncIterable<Buffer> = unzip ?? request.iterator({ destroyOnReturn: false });
  try {
    for await (const piece of pieces) {
      bytes += piece.length;
      if (bytes > maxBytes) {
        throw batchTooLarge("The body", "bodyBytes", maxBytes, "send it in parts");
      }
      yield piece;
    }
  } catch (error) {
    if (error instanceof Error && "code" in error && String(error.code).startsWith("Z_")) {
      throw apiError("BODY_MALFORMED", `The body is not ${encoding}, as its Content-Encoding says.`, { cause: error });
    }
    if (request.destroyed && !request.complete) throw brokenOff();
    throw error;
  } finally {
    request.off("close", breakOff);
    if (unzip !== null) request.unpipe(unzip);
  }
  if (!request.complete) throw brokenOff();
}

function brokenOff(): Error {
  return apiError("BODY_MALFORMED", "The body ended before all of it had come.");
}
