import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { spawnService } from "../services/spawn-service.ts";
import type { ConsumerPlan } from "./consumer-plan.ts";

/** A consumer in a process of its own. */
export interface ConsumerProcess {
  /** What it reads and how far behind it is; empty until it says so. */
  lag(): Readonly<Record<string, number | null>>;
  /** Who reads each partition, as far as it knows. */
  owners(): Readonly<Record<string, string | null>>;
  /** The last offset of each partition in the cold store, as it saw it last. */
  committed(): Readonly<Record<string, number>>;
  /** Resolves when it says something again. */
  heard(): Promise<void>;
  /** What it wrote to stderr, and why a source stopped. */
  words(): string;
  readonly ended: Promise<NodeJS.Signals | number | null>;
  isAlive(): boolean;
  kill(signal: NodeJS.Signals): Promise<void>;
}

export function startConsumer(plan: ConsumerPlan): ConsumerProcess {
  const script = new URL("consumer-child.ts", import.meta.url).pathname;
  const child: ChildProcess = spawnService(process.execPath, [script, JSON.stringify(plan)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let lag: Record<string, number | null> = {};
  let owners: Record<string, string | null> = {};
  let committed: Record<string, number> = {};
  let words = "";
  let heard = Promise.withResolvers<void>();
  child.stderr!.on("data", (text: Buffer) => {
    words = (words + text.toString("utf8")).slice(-4_000);
  });
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const said = JSON.parse(line) as {
      lag?: Record<string, number | null>;
      owners?: Record<string, string | null>;
      committed?: Record<string, number>;
      failed?: string;
    };
    if (said.lag !== undefined) lag = said.lag;
    if (said.owners !== undefined) owners = said.owners;
    if (said.committed !== undefined) committed = said.committed;
    if (said.failed !== undefined) words += `${said.failed}\n`;
    heard.resolve();
    heard = Promise.withResolvers<void>();
  });
  let alive = true;
  const ended = once(child, "exit").then(([code, signal]: (number | NodeJS.Signals | null)[]) => {
    alive = false;
    lag = {};
    heard.resolve();
    return signal ?? code ?? null;
  });
  return {
    lag: () => lag,
    owners: () => owners,
    committed: () => committed,
    heard: () => heard.promise,
    words: () => words,
    ended,
    isAlive: () => alive,
    async kill(signal) {
      if (alive) child.kill(signal);
      await ended;
    },
  };
}

/**
 * Resolves when the consumers together have every message up to the last offsets, by partition, in the cold store. Their
 * lag would not do: it is as old as the last answer of a broker, which beside much other work may be a second.
 */
export async function caughtUp(
  consumers: readonly ConsumerProcess[],
  lastOffsets: ReadonlyMap<string, number>,
  withinMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  const isRead = ([partition, last]: readonly [string, number]): boolean =>
    consumers.some((consumer) => (consumer.committed()[partition] ?? -1) >= last);
  while (![...lastOffsets].every(isRead)) {
    const dead = consumers.filter((consumer) => !consumer.isAlive());
    if (dead.length > 0 || Date.now() > deadline) {
      const states = consumers.map((c) => ({ committed: c.committed(), alive: c.isAlive(), words: c.words() }));
      throw new TypeError(
        `The consumers did not catch up with ${JSON.stringify([...lastOffsets])}: ${JSON.stringify(states)}`,
      );
    }
    await Promise.race([...consumers.map((c) => c.heard()), new Promise((r) => setTimeout(r, 1_000))]);
  }
}
