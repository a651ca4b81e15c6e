import diagnostics from "node:diagnostics_channel";
import { Session } from "node:inspector/promises";
import { syncBuiltinESMExports } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

/** What was done in a turn, and at which cost. */
export interface Turn {
  readonly done: number;
  readonly seconds: number;
  /** Microseconds, of all threads. */
  readonly cpu: number;
}

/** Two turns that followed each other. */
export interface TurnPair {
  readonly on: Turn;
  readonly off: Turn;
}

export interface MonitoringCost {
  readonly pairs: readonly TurnPair[];
  /** Share of the thread's time, all on, in which monitoring stood in its stack, 0 to 1. */
  readonly share: number;
}

export interface SwitchedMonitoring {
  /** Switches until that much was done, or that many pairs of turns were made. `done`: how much was so far. */
  measure(until: { readonly done: number; readonly pairs: number }, done: () => number): Promise<MonitoringCost>;
}

const TURN_MS = 200;
/** Share of the work during which stacks are sampled, at the end. */
const SAMPLED = 0.3;
const SAMPLE_MICROSECONDS = 250;

/** How long pairs of turns and the sampling take. */
export function measuringSeconds(pairs: number): number {
  return (2 * pairs * TURN_MS) / 1_000 / (1 - SAMPLED);
}

/**
 * To be called before the rest of Millrace is imported: remembers what monitoring subscribes to, and switches that off
 * and on. Others, such as the admission of requests, listen on. Two figures: CPU time in turns that follow each other,
 * which one comes first changing from pair to pair, and the share of sampled stacks, which a busy machine blurs less.
 */
export function switchedMonitoring(): SwitchedMonitoring {
  const listeners: (readonly [channel: string | symbol, listener: diagnostics.ChannelListener])[] = [];
  const { subscribe, unsubscribe } = diagnostics;
  diagnostics.subscribe = (channel, listener) => {
    if (new Error("who").stack?.includes("/src/monitoring/") === true) listeners.push([channel, listener]);
    subscribe(channel, listener);
  };
  syncBuiltinESMExports();
  let isOn = true;

  function turnTo(on: boolean): void {
    if (isOn !== on) for (const [channel, listener] of listeners) (on ? subscribe : unsubscribe)(channel, listener);
    isOn = on;
  }

  async function turn(on: boolean, done: () => number): Promise<Turn> {
    turnTo(on);
    const before = { done: done(), at: performance.now(), cpu: process.cpuUsage() };
    await pause(TURN_MS);
    const { user, system } = process.cpuUsage(before.cpu);
    return { done: done() - before.done, seconds: (performance.now() - before.at) / 1_000, cpu: user + system };
  }

  return {
    async measure(until, done) {
      const pairs: TurnPair[] = [];
      const began = done();
      while (pairs.length < until.pairs && done() - began < until.done * (1 - SAMPLED)) {
        const isOnFirst = pairs.length % 2 === 0;
        const first = await turn(isOnFirst, done);
        const second = await turn(!isOnFirst, done);
        const pair = isOnFirst ? { on: first, off: second } : { on: second, off: first };
        if (first.done > 0 && second.done > 0) pairs.push(pair);
      }
      turnTo(true);
      const seconds = pairs.reduce((sum, { on, off }) => sum + on.seconds + off.seconds, 0);
      return { pairs, share: await sampledShare(() => pause((seconds * SAMPLED * 1_000) / (1 - SAMPLED))) };
    },
  };
}

async function sampledShare(work: () => Promise<unknown>): Promise<number> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: SAMPLE_MICROSECONDS });
  await session.post("Profiler.start");
  await work();
  const { nodes, samples = [], timeDeltas = [] } = (await session.post("Profiler.stop")).profile;
  session.disconnect();
  const nodeOf = new Map(nodes.map((node) => [node.id, node]));
  const parentOf = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)));
  const isMonitoring = (id: number | undefined): boolean =>
    id !== undefined &&
    (/\/src\/monitoring\/|diagnostics_channel/.test(nodeOf.get(id)!.callFrame.url) || isMonitoring(parentOf.get(id)));
  let inside = 0;
  let total = 0;
  for (const [i, id] of samples.entries()) {
    if (nodeOf.get(id)!.callFrame.functionName === "(idle)") continue;
    total += timeDeltas[i]!;
    if (isMonitoring(id)) inside += timeDeltas[i]!;
  }
  return inside / total;
}
