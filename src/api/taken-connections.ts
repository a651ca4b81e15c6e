import type { Server } from "node:http";
import type { Socket } from "node:net";

/** The connections of a server that another process accepted. */
export interface TakenConnections {
  take(connection: Socket): void;
  /** Resolves as soon as there are none. */
  ended(): Promise<void>;
  destroy(): void;
}

/** Serves them as those that the server would have accepted itself, which Node counts only where it listens. */
export function takenConnections(server: Server): TakenConnections {
  const open = new Set<Socket>();
  let hasBegun = false;
  let ended = Promise.withResolvers<void>();
  return {
    take(connection) {
      // From then on Node looks at how long requests take.
      if (!hasBegun) server.emit("listening");
      hasBegun = true;
      connection.setNoDelay(true);
      connection.allowHalfOpen = true;
      open.add(connection);
      connection.once("close", () => {
        open.delete(connection);
        if (open.size > 0) return;
        ended.resolve();
        ended = Promise.withResolvers();
      });
      server.emit("connection", connection);
    },
    async ended() {
      if (open.size > 0) await ended.promise;
    },
    destroy() {
      for (const connection of open) connection.destroy();
    },
  };
}
