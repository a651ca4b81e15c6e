import { type FileHandle, open } from "node:fs/promises";

/** Bytes between a writer and a slower reader: some in memory, the rest in a file. */
export interface Spool extends AsyncIterable<Buffer> {
  /** Takes bytes; resolves when more may come. */
  write(bytes: Buffer): Promise<void>;
  /** From now on the writer waits for the reader instead of filling the file. */
  stopSpilling(): void;
  end(): void;
  fail(error: unknown): void;
  close(): Promise<void>;
}

export interface SpoolOptions {
  /** The file, made when it is needed. */
  readonly path: string;
  /** Held in memory. */
  readonly memoryBytes: number;
  /** That the file may grow to; more makes the writer wait. */
  readonly fileBytes: number;
}

const READ_BYTES = 256 * 1_024;

/**
 * Most clients send all of a body before they read any of the answer. A server that answers while it reads would wait
 * for such a client, and the client for it: so what the client does not take yet goes to a file, in bounded memory.
 */
export function createSpool({ path, memoryBytes, fileBytes }: SpoolOptions): Spool {
  const queue: Buffer[] = [];
  let queued = 0;
  let file: FileHandle | null = null;
  let written = 0;
  let read = 0;
  let maySpill = true;
  let isEnded = false;
  let isClosed = false;
  let failure: unknown = null;
  let changed = Promise.withResolvers<void>();

  function wake(): void {
    changed.resolve();
    changed = Promise.withResolvers<void>();
  }

  async function next(): Promise<Buffer | null> {
    for (;;) {
      const head = queue.shift();
      if (head !== undefined) {
        queued -= head.length;
        wake();
        return head;
      }
      if (read < written) {
        const bytes = Buffer.allocUnsafe(Math.min(READ_BYTES, written - read));
        const { bytesRead } = await file!.read(bytes, 0, bytes.length, read);
        read += bytesRead;
        wake();
        return bytes.subarray(0, bytesRead);
      }
      if (failure !== null) throw failure;
      if (isEnded || isClosed) return null;
      await changed.promise;
    }
  }

  return {
    async write(bytes) {
      while (!isClosed) {
        if (read === written && queued + bytes.length <= Math.max(memoryBytes, bytes.length)) {
          queue.push(bytes);
          queued += bytes.length;
          wake();
          return;
        }
        // Once some are in the file, later ones follow there until it is read.
        if (maySpill && written + bytes.length <= fileBytes) {
          file ??= await open(path, "w+");
          await file.write(bytes, 0, bytes.length, written);
          written += bytes.length;
          wake();
          return;
        }
        await changed.promise;
      }
    },
    stopSpilling() {
      maySpill = false;
      wake();
    },
    end() {
      isEnded = true;
      wake();
    },
    fail(error) {
      failure = error;
      wake();
    },
    async close() {
      isClosed = true;
      queue.length = 0;
      wake();
      await file?.close();
      file = null;
    },
    async *[Symbol.asyncIterator]() {
      for (let bytes = await next(); bytes !== null; bytes = await next()) yield bytes;
    },
  };
}
