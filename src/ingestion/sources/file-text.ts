import { createHash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import { createGunzip } from "node:zlib";
import { ingestionError } from "../ingestion-error.ts";

/** Bytes read at once. Constant, since how a corrupt file is cut must not vary between runs. */
const READ_BYTES = 256 * 1024;
/** Less for gzip, since it may grow a thousandfold when inflated. */
const READ_GZIP_BYTES = 32 * 1024;

/** The error of a file that could not be opened or read. */
export function fileError(path: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") {
    return ingestionError("FILE_NOT_FOUND", `There is no file ${path}: check the path and the working directory.`, {
      cause: error,
      details: { file: path },
    });
  }
  const why = error instanceof Error ? error.message : String(error);
  return ingestionError("FILE_UNREADABLE", `The file ${path} cannot be read: ${why}. Check its permissions.`, {
    cause: error,
    details: { file: path },
  });
}

async function* fileBytes(path: string, file: FileHandle, start: number, size: number): AsyncGenerator<Buffer> {
  const buffer = Buffer.allocUnsafe(size);
  let position = start;
  for (;;) {
    let bytesRead: number;
    try {
      ({ bytesRead } = await file.read(buffer, 0, size, position));
    } catch (error) {
      throw fileError(path, error);
    }
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** Inflates chunk by chunk, so that all that came before a corrupt place is given before the error is thrown. */
async function* inflate(path: string, chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const gunzip = createGunzip();
  let inflated: Buffer[] = [];
  let failure: Error | null = null;
  let read = 0;
  let written = 0;
  const closed = new Promise<void>((resolve) => gunzip.once("close", resolve));
  gunzip.on("data", (chunk: Buffer) => inflated.push(chunk));
  gunzip.on("error", (error) => {
    failure = error;
  });
  function* taken(): Generator<Buffer> {
    const ready = inflated;
    inflated = [];
    for (const chunk of ready) {
      written += chunk.length;
      yield chunk;
    }
  }
  const corrupt = (error: Error): Error =>
    ingestionError(
      "FILE_CORRUPT",
      `The gzip file ${path} is corrupt at byte ${written} of its content (within the first ${read} compressed ` +
        `bytes): ${error.message}. What came before was read; restore the file and replay it again.`,
      { cause: error, details: { file: path, position: written, compressed_position: read } },
    );
  try {
    for await (const chunk of chunks) {
      read += chunk.length;
      await Promise.race([new Promise<void>((resolve) => gunzip.write(chunk, () => resolve())), closed]);
      yield* taken();
      if (failure !== null) throw corrupt(failure);
    }
    gunzip.end();
    await closed;
    yield* taken();
    if (failure !== null) throw corrupt(failure);
  } finally {
    gunzip.destroy();
  }
}

/**
 * The UTF-8 text of a file, plain or gzip (told by its first bytes), in pieces, without a byte order mark. Fails with
 * `FILE_NOT_FOUND`, `FILE_UNREADABLE`, or, after all that could be inflated, `FILE_CORRUPT`.
 */
export async function* fileText(path: string): AsyncGenerator<string> {
  let file: FileHandle;
  try {
    file = await open(path, "r");
  } catch (error) {
    throw fileError(path, error);
  }
  try {
    const magic = Buffer.alloc(2);
    await file.read(magic, 0, 2, 0).catch((error: unknown) => {
      throw fileError(path, error);
    });
    const gzip = magic[0] === 0x1f && magic[1] === 0x8b;
    const bytes = gzip
      ? inflate(path, fileBytes(path, file, 0, READ_GZIP_BYTES))
      : fileBytes(path, file, 0, READ_BYTES);
    const decoder = new StringDecoder("utf8");
    let first = true;
    for await (const chunk of bytes) {
      let text = decoder.write(chunk);
      if (first && text.length > 0) {
        first = false;
        if (text.charCodeAt(0) === 0xfeff) text = text.slice(1);
      }
      if (text.length > 0) yield text;
    }
    const rest = decoder.end();
    if (rest.length > 0) yield rest;
  } finally {
    await file.close();
  }
}

/** SHA-256 (hex) over the digests of the files' stored bytes, in the order given, and what else decides the order. */
export async function contentHash(paths: readonly string[], settings: string): Promise<string> {
  const all = createHash("sha256").update(settings);
  for (const path of paths) {
    const one = createHash("sha256");
    let file: FileHandle;
    try {
      file = await open(path, "r");
    } catch (error) {
      throw fileError(path, error);
    }
    try {
      for await (const chunk of fileBytes(path, file, 0, READ_BYTES)) one.update(chunk);
    } finally {
      await file.close();
    }
    all.update(one.digest());
  }
  return all.digest("hex");
}
