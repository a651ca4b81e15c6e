import { once } from "node:events";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";

/** A process that takes connections. */
export interface ConnectionTaker {
  /** Sends it a copy of the connection; it says by `answered` whether it takes it, before it reads anything of it. */
  readonly offer: (id: number, connection: Socket) => void;
}

/** Accepts connections, and deals them out to processes in turn. None is lost when a process dies or drains. */
export interface ConnectionDealer {
  /** Port 0 takes a free one. @throws what `listen` emits */
  listen(host: string, port: number): Promise<{ readonly port: number }>;
  /** It gets connections from now on, first those that waited for anyone. */
  join(taker: ConnectionTaker): void;
  /** It gets no more; what it was offered last it may still take. */
  pause(taker: ConnectionTaker): void;
  /** It has ended, and nothing that it said is still to be read: what it was offered and did not take goes to others. */
  gone(taker: ConnectionTaker): void;
  answered(id: number, isTaken: boolean): void;
  /** Connections that no process has taken yet. */
  readonly waiting: number;
  /** Accepts no more. What is offered may still be taken. */
  close(): void;
}

/** The kernel holds as many that were not accepted yet, as far as it is allowed to (`net.core.somaxconn`). */
const BACKLOG = 4_096;
/** While no process takes any. */
const MOST_WAITING = 1_024;

/**
 * Node's `cluster` deals connections out as well, but forgets those under way to a process that is killed: their clients
 * wait for ever. Here this process keeps each connection open until the other one has said that it has it, which that
 * one says before it reads; so a connection that it has not taken is whole, and another process can have it.
 */
export function connectionDealer(): ConnectionDealer {
  const takers: ConnectionTaker[] = [];
  const offered = new Map<number, { readonly connection: Socket; readonly taker: ConnectionTaker }>();
  const unclaimed: Socket[] = [];
  const servers: Server[] = [];
  let next = 0;
  let lastId = 0;
  let isClosed = false;

  function deal(connection: Socket): void {
    if (takers.length === 0) {
      if (isClosed || unclaimed.length >= MOST_WAITING) connection.destroy();
      else unclaimed.push(connection);
      return;
    }
    next = (next + 1) % takers.length;
    const taker = takers[next]!;
    const id = ++lastId;
    offered.set(id, { connection, taker });
    taker.offer(id, connection);
  }

  function accept(connection: Socket): void {
    connection.on("error", () => connection.destroy());
    // Else Node counts it as one of this server until the other process has closed it, and tells it so.
    Object.assign(connection, { server: null });
    deal(connection);
  }

  async function listenOn(host: string, port: number): Promise<number> {
    const server = createServer({ pauseOnConnect: true }, accept);
    server.listen({ host, port, backlog: BACKLOG });
    await once(server, "listening");
    servers.push(server);
    return (server.address() as AddressInfo).port;
  }

  function pause(taker: ConnectionTaker): void {
    const at = takers.indexOf(taker);
    if (at >= 0) takers.splice(at, 1);
  }

  return {
    async listen(host, port) {
      if (host !== "localhost") return { port: await listenOn(host, port) };
      const taken = await listenOn("127.0.0.1", port);
      // Not every machine has the newer protocol.
      await listenOn("::1", taken).catch(() => {});
      return { port: taken };
    },
    join(taker) {
      takers.push(taker);
      for (const connection of unclaimed.splice(0)) deal(connection);
    },
    pause,
    gone(taker) {
      pause(taker);
      for (const [id, one] of offered) {
        if (one.taker !== taker) continue;
        offered.delete(id);
        deal(one.connection);
      }
    },
    answered(id, isTaken) {
      const one = offered.get(id);
      if (one === undefined) return;
      offered.delete(id);
      if (isTaken) one.connection.destroy();
      else deal(one.connection);
    },
    get waiting() {
      return offered.size + unclaimed.length;
    },
    close() {
      isClosed = true;
      for (const server of servers) server.close();
      for (const connection of unclaimed.splice(0)) connection.destroy();
    },
  };
}
