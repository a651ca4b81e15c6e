import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { MillraceError } from "../../src/definitions/errors.ts";

/** Those below are of well-known services. */
const LOWEST = 10_000;
/** Of Linux, where it does not say its own. */
const USUAL_EPHEMERAL = 32_768;

const given = new Set<number>();

export interface FreePortsOptions {
  /** A second port that must be free with each, so much above it. Default: none. */
  readonly second?: number;
}

/**
 * Ports of this machine that nothing listens on; different ones, also from call to call. They lie below those that the
 * system gives to connections and to servers without a port of their own: one of these could be taken before a service
 * listens on it, or while it is down, by a client of it that tries to reach it.
 */
export async function freePorts(count: number, { second = 0 }: FreePortsOptions = {}): Promise<number[]> {
  const highest = ephemeralStart() - second;
  const ports: number[] = [];
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > 10_000) {
      throw new MillraceError("TOOL_FAILED", `No ${count} ports are free from ${LOWEST} to ${highest}.`, {
        kind: "operational",
      });
    }
    const port = LOWEST + Math.floor(Math.random() * (highest - LOWEST));
    const wanted = second === 0 ? [port] : [port, port + second];
    if (wanted.some((one) => given.has(one))) continue;
    for (const one of wanted) given.add(one);
    const free = await Promise.all(wanted.map(isFree));
    if (free.every(Boolean)) ports.push(port);
  }
  return ports;
}

function ephemeralStart(): number {
  try {
    return Number.parseInt(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8"), 10);
  } catch {
    return USUAL_EPHEMERAL;
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}
