import { type Server, STATUS_CODES } from "node:http";
import { Server as TlsServer } from "node:https";
import type { Socket } from "node:net";
import { largeTurns } from "./large-turns.ts";
import { type PlainHead, readPlainHead } from "./request-head.ts";
import { joinPieces, type WholeRequest } from "./request-pieces.ts";

/** The answer to a plain request. */
export interface DirectAnswer {
  readonly status: number;
  /** Whole lines, each ended by CR LF; `Date`, `Connection`, `Keep-Alive` and `Content-Length` come on top. */
  readonly headers: string;
  readonly body: string | Buffer;
}

/** What becomes of a plain request; one of the first two, once. */
export interface DirectReply {
  answer(answer: DirectAnswer): void;
  /** It is none that is answered directly, and nothing was done: as false of the handler, later. */
  decline(): void;
  /** True once the client has left. */
  isGone(): boolean;
  /** When it began to come, on the monotonic clock, milliseconds; null if it came at once and was begun at once. */
  readonly begunAt: number | null;
  /** How long it was whole and waited for its turn, milliseconds. */
  readonly waitedMs: number;
}

/** What answers plain requests. */
export interface DirectHandler {
  /**
   * Looks at a request whose body is still to come: `refuse` answers it, now or later, and its body is read by nobody.
   * False of it: the body came meanwhile, and `handle` got the request, as it does where nothing was refused.
   */
  look(head: PlainHead, refuse: (answer: DirectAnswer) => boolean): void;
  /**
   * Answers a request whose body is `bytes` from `from` on, now or later; they hold until then. False: it is none that it
   * answers, and nothing was done.
   */
  handle(head: PlainHead, bytes: Buffer, from: number, reply: DirectReply): boolean;
}

export interface DirectConnections {
  /** From now on requests are for the HTTP server, and each answer says that it is the last of its connection. */
  drain(): void;
  /** Closes connections that are idle, when they drain. */
  closeIdle(): void;
  /** Cuts off what is left. */
  destroy(): void;
}

/** How long the pieces of a request are waited for before it is the HTTP server's, or, if it was refused, cut off; milliseconds. */
const PIECES_MS = 10_000;
/** Requests of more bytes take one turn of the event loop each: they cost half a millisecond and more. */
const LARGE_BYTES = 65_536;
/** Heads of which what was read is remembered: clients send the same ones all the time. */
const KNOWN_HEADS = 1_024;
/** In place of the lines that answers share otherwise. */
const LAST = "Connection: close\r\n\r\n";
const HEAD_END = Buffer.from("\r\n\r\n");

/**
 * Reads plain requests off the server's connections and answers them without Node's HTTP parser and its streams, which
 * cost more than a prediction. As soon as a connection sends anything else, it is the HTTP server's with all that came,
 * for good. So nothing is refused here: whatever is not plain, or wrong, is read by the parser that knows all of HTTP.
 * Bodies above `mostBytes` are for it too.
 */
export function directConnections(server: Server, handler: DirectHandler, mostBytes: number): DirectConnections {
  // With TLS a connection begins twice; only the second time there is HTTP on it.
  const begins = server instanceof TlsServer ? "secureConnection" : "connection";
  const handlers = server.listeners(begins) as ((socket: Socket) => void)[];
  const heads = new Map<string, PlainHead>();
  const open = new Set<DirectConnection>();
  const large = largeTurns();
  let isDraining = false;

  function headOf(text: string): PlainHead | null {
    const known = heads.get(text);
    if (known !== undefined) return known;
    const head = readPlainHead(text);
    if (head === null) return null;
    if (heads.size >= KNOWN_HEADS) heads.clear();
    heads.set(text, head);
    return head;
  }

  function accept(socket: Socket): void {
    let part: PartRequest | null = null;
    /** What is still to come of a request that was refused. */
    let unread: { bytes: number; readonly until: number } | null = null;
    /** What came while a request was being answered. */
    let early: Buffer | null = null;
    /** The request that is being answered. */
    let whole: WholeRequest | null = null;
    let isBusy = false;
    let isLast = false;
    let isNew = true;

    function handOver(bytes: Buffer | null): void {
      open.delete(connection);
      socket.off("data", read).off("end", end).off("error", fail).off("close", close).off("timeout", fail);
      socket.setTimeout(0);
      for (const connect of handlers) connect.call(server, socket);
      if (bytes !== null) socket.emit("data", bytes);
      if (socket.isPaused()) socket.resume();
    }

    function read(data: Buffer): void {
      if (unread !== null) {
        const rest = skip(unread, data);
        if (rest !== null) read(rest);
        return;
      }
      if (isBusy) {
        early = early === null ? data : Buffer.concat([early, data]);
        socket.pause();
        return;
      }
      if (part !== null) {
        readPiece(part, data);
        return;
      }
      const end = isDraining || socket.writableLength > 0 ? -1 : data.indexOf(HEAD_END);
      const head = end < 0 ? null : headOf(data.toString("latin1", 0, end));
      const from = end + HEAD_END.length;
      const missing = head === null ? -1 : head.bodyBytes + from - data.length;
      if (head !== null && missing > 0 && head.bodyBytes <= mostBytes) {
        const began: PartRequest = { head, from, pieces: [data], missing, begunAt: performance.now() };
        part = began;
        handler.look(head, (refusal) => refuse(began, refusal));
      } else if (head !== null && missing === 0) begin(head, data, from);
      else handOver(data);
    }

    /** Answers what is not whole, and forgets it. */
    function refuse(began: PartRequest, refusal: DirectAnswer): boolean {
      if (part !== began) return false;
      part = null;
      unread = { bytes: began.missing, until: began.begunAt + PIECES_MS };
      answer(refusal);
      return true;
    }

    /** What is left of the data after a body that nobody reads; null for nothing. */
    function skip(body: NonNullable<typeof unread>, data: Buffer): Buffer | null {
      body.bytes -= data.length;
      if (body.bytes > 0) {
        if (performance.now() > body.until) socket.destroy();
        return null;
      }
      unread = null;
      return body.bytes === 0 ? null : data.subarray(data.length + body.bytes);
    }

    function readPiece(waiting: PartRequest, data: Buffer): void {
      const { head, from, pieces, begunAt } = waiting;
      pieces.push(data);
      waiting.missing -= data.length;
      const isLate = isDraining || performance.now() - begunAt > PIECES_MS;
      if (waiting.missing > 0 && !isLate) return;
      part = null;
      if (waiting.missing !== 0 || isDraining) {
        handOver(Buffer.concat(pieces));
        return;
      }
      whole = joinPieces(pieces);
      reply.begunAt = begunAt;
      begin(head, whole.bytes, from);
    }

    function begin(head: PlainHead, bytes: Buffer, from: number): void {
      isBusy = true;
      if (whole === null) whole = { bytes, release: nothing };
      if (bytes.length <= LARGE_BYTES) {
        if (!handler.handle(head, bytes, from, reply)) decline();
        return;
      }
      const wholeAt = performance.now();
      reply.begunAt ??= wholeAt;
      large.add(reply.begunAt, () => {
        reply.waitedMs = performance.now() - wholeAt;
        if (socket.destroyed) ended();
        else if (!handler.handle(head, bytes, from, reply)) decline();
      });
    }

    function ended(): void {
      whole?.release();
      whole = null;
      isBusy = false;
      reply.begunAt = null;
      reply.waitedMs = 0;
    }

    function decline(): void {
      const { bytes, release } = whole!;
      const own = release === nothing ? bytes : Buffer.from(bytes);
      ended();
      const all = early === null ? own : Buffer.concat([own, early]);
      early = null;
      if (!socket.destroyed) handOver(all);
    }

    function answer({ status, headers, body }: DirectAnswer): void {
      ended();
      isNew = false;
      if (socket.destroyed) return;
      const length = typeof body === "string" ? Buffer.byteLength(body) : body.length;
      const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${headers}content-length: ${length}\r\n${isDraining ? LAST : shared()}`;
      if (typeof body === "string") socket.write(head + body, length === body.length ? "latin1" : "utf8");
      else {
        socket.cork();
        socket.write(head, "latin1");
        socket.write(body);
        socket.uncork();
      }
      if (isDraining || isLast) socket.destroySoon();
      else if (early !== null) handOver(early);
    }

    const reply = { answer, decline, isGone: () => socket.destroyed, begunAt: null as number | null, waitedMs: 0 };

    function end(): void {
      isLast = true;
      if (!isBusy) socket.end();
    }
    function fail(): void {
      socket.destroy();
    }
    function close(): void {
      open.delete(connection);
    }

    const connection: DirectConnection = {
      socket,
      closeIdle() {
        if (isBusy) return;
        // Whoever has just connected has a request under way.
        if (isNew || part !== null) handOver(part === null ? null : Buffer.concat(part.pieces));
        else socket.destroySoon();
      },
    };
    open.add(connection);
    socket.on("data", read).on("end", end).on("error", fail).on("close", close);
    socket.setTimeout(server.keepAliveTimeout, fail);
  }

  let second = 0;
  let lines = "";
  /** The headers that all answers of a second share, and the end of the head. */
  function shared(): string {
    const now = Math.floor(Date.now() / 1_000);
    if (now !== second) {
      second = now;
      const timeout = Math.floor(server.keepAliveTimeout / 1_000);
      lines = `Date: ${new Date(now * 1_000).toUTCString()}\r\nConnection: keep-alive\r\nKeep-Alive: timeout=${timeout}\r\n\r\n`;
    }
    return lines;
  }

  server.removeAllListeners(begins);
  server.on(begins, accept);
  return {
    drain() {
      isDraining = true;
    },
    closeIdle() {
      for (const connection of open) connection.closeIdle();
    },
    destroy() {
      for (const { socket } of open) socket.destroy();
    },
  };
}

/** A request of which the head is there, and not all of the body. */
interface PartRequest {
  readonly head: PlainHead;
  /** Where the body begins. */
  readonly from: number;
  readonly pieces: Buffer[];
  /** Bytes that are still to come. */
  missing: number;
  readonly begunAt: number;
}

function nothing(): void {}

interface DirectConnection {
  readonly socket: Socket;
  closeIdle(): void;
}
