import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { ConsumerPlan } from "./consumer-plan.ts";

/** A consumer in a process of its own. */
export interface ConsumerProcess {
  /** What it reads and how far behind it is; empty until it says so. */
  lag(): Readonly<Record<string, number | null>>;
  /** Who reads each partition, as far as it knows. */
  owners(): Readonly<Record<string, string | null>>;
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
  const child: ChildProcess = spawn(process.execPath, [script, JSON.stringify(plan)], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let lag: Record<string, number | null> = {};
  let owners: Record<string, string | null> = {};
  let words = "";
  let heard = Promise.withResolvers<void>();
  child.stderr!.on("data", (text: Buffer) => {
    words = (words + text.toString("utf8")).slice(-4_000);
  });
  createInterface({ input: child.stdout! }).on("line", (line) => {
    const said = JSON.parse(line) as {
      lag?: Record<string, number | null>;
      owners?: Record<string, string | null>;
      failed?: string;
    };
    if (said.lag !== undefined) lag = said.lag;
    if (said.owners !== undefined) owners = said.owners;
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

/** Resolves when the consumers together read every partition and are behind on none. */
export async function caughtUp(
  consumers: readonly ConsumerProcess[],
  partitions: number,
  withinMs = 60_000,
): Promise<void> {
  const deadline = Date.now() + withinMs;
  let calm = 0;
  while (calm < 3) {
    const lags = consumers.flatMap((consumer) => Object.values(consumer.lag()));
    calm = lags.length === partitions && lags.every((lag) => lag === 0) ? calm + 1 : 0;
    const dead = consumers.filter((consumer) => !consumer.isAlive());
    if (dead.length > 0 || Date.now() > deadline) {
      throw new TypeError(
        `The consumers did not catch up: ${JSON.stringify(consumers.map((c) => ({ lag: c.lag(), alive: c.isAlive(), words: c.words() })))}`,
      );
    }
    await Promise.race([Promise.all(consumers.map((c) => c.heard())), new Promise((r) => setTimeout(r, 1_000))]);
  }
}
