import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  type DirectAnswer,
  type DirectConnections,
  type DirectHandler,
  directConnections,
} from "../../../src/api/direct/direct-connections.ts";

const BODY = '{"rows":[1]}';
const requestOf = (body: string, more = ""): string =>
  `POST /v1/models/m/predict HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\n${more}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;

describe("connections whose plain requests are answered directly", () => {
  let server: Server;
  let direct: DirectConnections;
  let port: number;
  let handle: DirectHandler["handle"];
  let look: DirectHandler["look"];
  let sockets: Socket[];
  /** What the handler was given; what the HTTP server was. */
  let plain: string[];
  let ordinary: string[];
  beforeEach(async () => {
    [plain, ordinary, sockets] = [[], [], []];
    server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => {
        body += part;
      });
      request.on("end", () => {
        ordinary.push(body);
        response.end(`ordinary ${body.length}`);
      });
    });
    handle = (_head, bytes, from, { answer }) => {
      plain.push(bytes.toString("utf8", from));
      answer({ status: 200, headers: "x-way: direct\r\n", body: `direct ${bytes.length - from}` });
      return true;
    };
    look = () => {};
    const handler: DirectHandler = { handle: (...args) => handle(...args), look: (...args) => look(...args) };
    direct = directConnections(server, handler, 300_000);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    port = (server.address() as AddressInfo).port;
  });
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    direct.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });

  interface Client {
    readonly socket: Socket;
    send(text: string): void;
    /** The next answers, whole. */
    answers(count: number): Promise<readonly { readonly head: string; readonly body: string }[]>;
    readonly ended: Promise<unknown>;
  }
  async function client(): Promise<Client> {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    sockets.push(socket);
    await once(socket, "connect");
    socket.setNoDelay(true);
    let text = "";
    const waiting: (() => void)[] = [];
    socket.on("data", (data: Buffer) => {
      text += data.toString("utf8");
      for (const look of waiting.splice(0)) look();
    });
    const ended = once(socket, "end");
    return {
      socket,
      ended,
      send: (sent) => void socket.write(sent),
      async answers(count) {
        const found: { head: string; body: string }[] = [];
        while (found.length < count) {
          const end = text.indexOf("\r\n\r\n");
          const head = text.slice(0, end);
          const length = Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
          if (end >= 0 && text.length >= end + 4 + length) {
            found.push({ head, body: text.slice(end + 4, end + 4 + length) });
            text = text.slice(end + 4 + length);
          } else await new Promise<void>((resolve) => waiting.push(resolve));
        }
        return found;
      },
    };
  }

  it("answer one request after another over one connection", async () => {
    const { send, answers } = await client();
    for (const body of [BODY, `${BODY} `, BODY]) {
      send(requestOf(body));
      const [answer] = await answers(1);
      expect(answer!.body).toBe(`direct ${body.length}`);
      expect(answer!.head).toMatch(
        /^HTTP\/1\.1 200 OK\r\nx-way: direct\r\ncontent-length: \d+\r\nDate: \w{3}, \d\d .* GMT\r\nConnection: keep-alive\r\nKeep-Alive: timeout=\d+$/,
      );
    }
    expect(plain).toEqual([BODY, `${BODY} `, BODY]);
    expect(ordinary).toEqual([]);
  });

  it("wait for a body that comes in a piece of its own", async () => {
    const { send, answers } = await client();
    const text = requestOf(BODY);
    const end = text.indexOf("\r\n\r\n") + 4;
    for (let i = 0; i < 2; i++) {
      send(text.slice(0, end));
      await new Promise((resolve) => setImmediate(resolve));
      send(text.slice(end));
      expect((await answers(1))[0]!.body).toBe(`direct ${BODY.length}`);
    }
    expect(ordinary).toEqual([]);
  });

  it("answer what its head refuses before the body is there, which nobody reads, and then what comes next", async () => {
    const looked: number[] = [];
    look = ({ bodyBytes }, refuse) => {
      looked.push(bodyBytes);
      expect(refuse({ status: 401, headers: "", body: "no" })).toBe(true);
      expect(refuse({ status: 401, headers: "", body: "twice" })).toBe(false);
    };
    const large = requestOf("x".repeat(250_000));
    for (const cut of [large.indexOf("x"), large.length - 1]) {
      const { send, answers } = await client();
      send(large.slice(0, cut));
      const [refused] = await answers(1);
      expect(refused!.head).toMatch(/^HTTP\/1\.1 401 Unauthorized\r\n/);
      expect(refused!.body).toBe("no");
      send(large.slice(cut) + requestOf(BODY));
      expect((await answers(1))[0]!.body).toBe("direct 12");
      send(requestOf(BODY));
      expect((await answers(1))[0]!.body).toBe("direct 12");
    }
    expect(looked).toEqual([250_000, 250_000]);
    expect(plain).toEqual([BODY, BODY, BODY, BODY]);
    expect(ordinary).toEqual([]);
  });

  it("answer a request that is refused too late as one that is not refused", async () => {
    const late = Promise.withResolvers<(answer: DirectAnswer) => boolean>();
    look = (_head, refuse) => late.resolve(refuse);
    const { send, answers } = await client();
    const text = requestOf(BODY);
    send(text.slice(0, -1));
    const refuse = await late.promise;
    send(text.slice(-1));
    expect((await answers(1))[0]!.body).toBe("direct 12");
    expect(refuse({ status: 401, headers: "", body: "no" })).toBe(false);
    send(requestOf(BODY));
    expect((await answers(1))[0]!.body).toBe("direct 12");
  });

  it("tell how long large requests were whole and waited for their turn", async () => {
    const waits: number[] = [];
    handle = (_head, bytes, _from, { answer, waitedMs, begunAt }) => {
      waits.push(waitedMs);
      answer({ status: 200, headers: "", body: `${bytes.length > 65_536} ${begunAt !== null}` });
      return true;
    };
    const { send, answers } = await client();
    for (const [length, expected] of [
      [100_000, "true true"],
      [10, "false false"],
      [200_000, "true true"],
    ] as const) {
      send(requestOf("x".repeat(length)));
      expect((await answers(1))[0]!.body).toBe(expected);
    }
    expect(waits.map((ms) => ms > 0)).toEqual([true, false, true]);
  });

  it("are the HTTP server's with all that came, from the first other request on", async () => {
    const { send, answers } = await client();
    send(requestOf(BODY));
    expect((await answers(1))[0]!.body).toBe("direct 12");
    send(requestOf(BODY, "X-Other: 1\r\n"));
    expect((await answers(1))[0]!.body).toBe("ordinary 12");
    send(requestOf(BODY));
    expect((await answers(1))[0]!.body).toBe("ordinary 12");
    expect(plain).toHaveLength(1);
  });

  it("answer in order whatever is sent at once, wherever it is cut", async () => {
    const texts = [requestOf(BODY), requestOf("x".repeat(40)), requestOf(BODY, "X-Other: 1\r\n"), requestOf(BODY)];
    const all = texts.join("");
    for (const cuts of [[], [10], [texts[0]!.length], [texts[0]!.length + 5], [30, 60, 170], [all.length - 3]]) {
      const { send, answers } = await client();
      let from = 0;
      for (const cut of [...cuts, all.length]) {
        send(all.slice(from, cut));
        from = cut;
        await new Promise((resolve) => setImmediate(resolve));
      }
      const bodies = (await answers(4)).map(({ body }) => body.replace(/\w+ /, ""));
      expect(bodies, String(cuts)).toEqual(["12", "40", "12", "12"]);
    }
  });

  it("keep what comes while a request is answered", async () => {
    let finish: (answer: DirectAnswer) => void = () => {};
    const asked = Promise.withResolvers<void>();
    handle = (_head, _bytes, _from, { answer }) => {
      finish = answer;
      asked.resolve();
      return true;
    };
    const { send, answers } = await client();
    send(requestOf(BODY));
    await asked.promise;
    send(requestOf("x".repeat(30)));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ordinary).toEqual([]);
    finish({ status: 503, headers: "", body: "é" });
    const [first, second] = await answers(2);
    expect(first!.head).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\ncontent-length: 2\r\n/);
    expect(second!.body).toBe("ordinary 30");
  });

  it("are the HTTP server's where the handler does not answer", async () => {
    handle = () => false;
    const { send, answers } = await client();
    send(requestOf(BODY));
    expect((await answers(1))[0]!.body).toBe("ordinary 12");
  });

  it("answer what is no HTTP as the HTTP server does", async () => {
    const { send, answers, ended } = await client();
    send("BREW coffee\r\n\r\n");
    expect((await answers(1))[0]!.head).toMatch(/^HTTP\/1\.1 400 /);
    await ended;
  });

  it("answer a client that has ended its side, and then end theirs", async () => {
    const { socket, answers, ended } = await client();
    socket.end(requestOf(BODY));
    expect((await answers(1))[0]!.body).toBe("direct 12");
    await ended;
  });

  it("outlive a client that goes while it waits", async () => {
    let finish: (answer: DirectAnswer) => void = () => {};
    const asked = Promise.withResolvers<void>();
    handle = (_head, _bytes, _from, { answer }) => {
      finish = answer;
      asked.resolve();
      return true;
    };
    const { socket, send } = await client();
    send(requestOf(BODY));
    await asked.promise;
    const gone = new Promise((resolve) => server.getConnections(() => resolve(null)));
    socket.resetAndDestroy();
    await gone;
    finish({ status: 200, headers: "", body: "late" });
    await new Promise((resolve) => setImmediate(resolve));
  });

  it("take one more request where they are idle when the server drains, and close after their answer", async () => {
    let finish: (answer: DirectAnswer) => void = () => {};
    let asked = Promise.withResolvers<void>();
    handle = (_head, _bytes, _from, { answer }) => {
      finish = answer;
      asked.resolve();
      return true;
    };
    const [idle, late, busy, fresh] = [await client(), await client(), await client(), await client()];
    for (const one of [idle, late]) {
      one.send(requestOf(BODY));
      await asked.promise;
      finish({ status: 200, headers: "", body: "first" });
      await one.answers(1);
      asked = Promise.withResolvers<void>();
    }
    busy.send(requestOf(BODY));
    await asked.promise;
    direct.drain();
    late.send(requestOf(BODY, "Connection: close\r\n"));
    expect((await late.answers(1))[0]!.body).toBe("ordinary 12");
    direct.closeIdle();
    await idle.ended;
    finish({ status: 200, headers: "", body: "done" });
    const [last] = await busy.answers(1);
    expect(last!.head).toMatch(/^connection: close$/im);
    expect(last!.body).toBe("done");
    await busy.ended;
    // It had asked for nothing yet: its request may be on its way.
    fresh.send(requestOf(BODY, "Connection: close\r\n"));
    expect((await fresh.answers(1))[0]!.body).toBe("ordinary 12");
    await fresh.ended;
  });
});
