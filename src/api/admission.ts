import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import type { IncomingMessage, ServerResponse } from "node:http";
import {
  PREDICTION_CHANNEL,
  PREDICTION_START_CHANNEL,
  type PredictionEvent,
  type PredictionStartEvent,
  SHED_CHANNEL,
  type ShedEvent,
} from "./channels.ts";
import type { DirectAnswer } from "./direct/direct-connections.ts";
import { PROBLEM_TYPE } from "./problem.ts";
import { type RouteClass, routeClassOf } from "./route-class.ts";

export interface AdmissionOptions {
  /** How long work may wait while there is a standing queue, milliseconds; null sheds nothing. */
  readonly targetDelayMs: number | null;
  /** Monotonic clock, milliseconds. */
  readonly now?: () => number;
  /** How long the event loop has waited for work since it began, milliseconds. */
  readonly idle?: () => number;
}

/** Refuses requests before latency collapses. */
export interface Admission {
  /** Whether a request of this class is taken now, which has waited so long already. */
  admits(kind: RouteClass, waitedMs?: number): boolean;
  /** The answer to a request of this class that is not taken, by Millrace's own routes or by the Open Inference Protocol's; counts it. */
  refuse(kind: RouteClass, isInference?: boolean): DirectAnswer;
  /** Answers 503 at once where the request is not taken. True: it was taken. */
  admit(request: IncomingMessage, response: ServerResponse): boolean;
  /** Rows that are being predicted or wait for it. */
  readonly rowsInFlight: number;
  close(): void;
}

/** A queue that did not go for so long is a standing one, milliseconds. Source: see `createAdmission`. */
const INTERVAL_MS = 100;
/** As long after something was refused a queue counts as standing, though the loop had time now and then, milliseconds. */
const CALM_MS = 1_000;
/** The most rows in flight, whatever they wait for: a store that hangs must not fill the memory. */
const MOST_ROWS = 20_000;
/** Over how much time with rows in flight their rate is measured, milliseconds. */
const RATE_MS = 20;
/** Less than this is no waiting for work: the loop only asked the system, milliseconds. */
const IDLE_MS = 0.2;
/** A pause, such as of the garbage collector, is one turn; a queue takes more, milliseconds apart. */
const STANDING_TURNS = 4;
/** A turn so much shorter than the one before: the queue is being worked off. */
const SHRINKING = 0.9;
/** What a burst may wait, milliseconds. */
const BURST_MS = 500;
/** Large requests are worked on in chunks of so many rows, between which others get their turn. */
const CHUNK_ROWS = 64;
/** What a class may wait, as a share of the target: batches give way first. */
const SHARE: Readonly<Record<RouteClass, number>> = {
  health: Infinity,
  admin: Infinity,
  predict: 1,
  features: 1,
  batch: 0.5,
};

const sheds = channel(SHED_CHANNEL);
const DETAIL =
  "The server has more work than it can do in time, and refused this request before beginning it: send it again after the seconds of Retry-After, with fewer requests at once.";
const PROBLEM = refusal(PROBLEM_TYPE, {
  type: "urn:millrace:problem:overloaded",
  title: "Service Unavailable",
  status: 503,
  detail: DETAIL,
  code: "OVERLOADED",
});
const INFERENCE_ERROR = refusal("application/json", { error: DETAIL, code: "OVERLOADED" });
const SCORING_ERROR = refusal("application/json", { error_code: "OVERLOADED", message: DETAIL });

const DIRECT: DirectAnswer = directRefusal(PROBLEM);
const DIRECT_INFERENCE: DirectAnswer = directRefusal(INFERENCE_ERROR);

function directRefusal({ head, body }: ReturnType<typeof refusal>): DirectAnswer {
  return { status: 503, headers: `content-type: ${head["content-type"]}\r\nretry-after: 1\r\n`, body };
}

function refusal(type: string, members: object): { readonly head: Record<string, string | number>; body: string } {
  const body = JSON.stringify(members);
  return { head: { "content-type": type, "content-length": Buffer.byteLength(body), "retry-after": "1" }, body };
}

/** In the form that the protocol's clients read. */
function refusalFor(url: string): ReturnType<typeof refusal> {
  if (url.startsWith("/v2/")) return INFERENCE_ERROR;
  return /\/invocations(?:\?|$)/.test(url) ? SCORING_ERROR : PROBLEM;
}

/**
 * A request's wait is estimated when it arrives: half of the event loop's last turn, in which its bytes came, the time
 * since this turn began, and the rows in flight: at what each takes of the loop's time, or, if that is more, at the rate
 * at which they end. Of that time reading the hot store has its share, which does not count: a store that answers slowly
 * is no queue here, as that of the inference threads is. Where there was no queue within the last 100 ms, or few turns
 * ago, or while it shrinks, a request may wait for 500 ms, so that bursts and pauses cost nothing; else, and for a second
 * after the last refusal, there is a standing queue, and only what waits less than the target is taken. Source: controlled
 * delay as B. Maurer describes it in "Fail at Scale", ACM Queue 13(8), 2015, after K. Nichols and V. Jacobson,
 * "Controlling Queue Delay", ACM Queue 10(5), 2012.
 */
export function createAdmission(options: AdmissionOptions): Admission {
  const { targetDelayMs, now = () => performance.now(), idle = () => performance.nodeTiming.idleTime } = options;
  let rows = 0;
  /** Rows per millisecond of the time in which some were in flight; 0 until it is known. */
  let rate = 0;
  let done = 0;
  let busyMs = 0;
  let busySince = 0;
  let hasEnded = false;
  let turnIsOpen = false;
  let turnStarted = now();
  let idleBefore = idle();
  let backlog = 0;
  let shrinks = false;
  let hasRefused = false;
  /** Since the last one without a queue. */
  let turns = 0;
  let emptyAt = now();
  let refusedAt = Number.NEGATIVE_INFINITY;
  /** What a row takes of the loop's time, milliseconds; 0 until it is known. */
  let loopMs = 0;
  /** The share of the predictions' time that reading took. */
  let readShare = 0;
  let seconds = 0;
  let readSeconds = 0;
  let sampledAt = now();
  let sampledIdle = idle();

  const began = (message: unknown): void => {
    if (rows === 0) busySince = now();
    rows += shareOf((message as PredictionStartEvent).rows);
  };
  const ended = (message: unknown): void => {
    const event = message as PredictionEvent;
    rows = Math.max(0, rows - shareOf(event.rows));
    const at = now();
    if (event.outcome === "ok") {
      done += event.rows;
      seconds += event.seconds;
      readSeconds += event.stages.features;
    }
    busyMs += at - busySince;
    busySince = at;
    hasEnded = true;
  };

  /** Between turns, since what is done in one turn often ends all at once. */
  function noteRate(at: number): void {
    if (rows > 0) {
      busyMs += at - busySince;
      busySince = at;
    }
    // While a large request is under way, nothing is known of it.
    if (busyMs < RATE_MS || !hasEnded) return;
    hasEnded = false;
    // More at once may be done faster: that is believed at once, the contrary by and by.
    rate = faster(rate, done / busyMs, Math.max);
    const idleNow = idle();
    const activeMs = at - sampledAt - (idleNow - sampledIdle);
    if (done > 0) loopMs = faster(loopMs, Math.max(0, activeMs) / done, Math.min);
    readShare = seconds > 0 ? Math.min(1, readSeconds / seconds) : 0;
    [done, busyMs, seconds, readSeconds, sampledAt, sampledIdle] = [0, 0, 0, 0, at, idleNow];
  }

  function beginTurn(at: number, waitedMs: number): void {
    if (turnIsOpen) return;
    turnIsOpen = true;
    setImmediate(() => {
      turnIsOpen = false;
    });
    noteRate(at);
    const idleNow = idle();
    const waited = idleNow - idleBefore;
    const hadTime = waited > IDLE_MS;
    // A loop that is busy with short turns, none of them short for what was refused, has no queue either.
    const isShort = hadTime || (!hasRefused && at - turnStarted < targetDelayMs! / 4);
    turns++;
    if (isShort && inFlightMs() + waitedMs < targetDelayMs! / 2) {
      emptyAt = at;
      turns = 0;
    }
    hasRefused = false;
    const before = backlog;
    backlog = hadTime ? 0 : at - turnStarted;
    shrinks = backlog < SHRINKING * before;
    idleBefore = idleNow;
    turnStarted = at;
  }

  const inFlightMs = (): number => Math.max(rows * loopMs, rate === 0 ? 0 : (rows / rate) * (1 - readShare));
  const estimate = (at: number): number => backlog / 2 + (at - turnStarted) + inFlightMs();

  function admits(kind: RouteClass, waitedMs = 0): boolean {
    if (targetDelayMs === null) return true;
    const share = SHARE[kind];
    if (share === Infinity) return true;
    const at = now();
    beginTurn(at, waitedMs);
    const isOld = at - emptyAt > INTERVAL_MS && turns >= STANDING_TURNS;
    const isStanding = (isOld && !shrinks) || at - refusedAt < CALM_MS;
    const limit = isStanding ? targetDelayMs : Math.max(BURST_MS, targetDelayMs);
    if (waitedMs + estimate(at) <= limit * share && rows < MOST_ROWS) return true;
    hasRefused = true;
    // What gives way first says nothing of the others.
    if (share === 1) refusedAt = at;
    return false;
  }

  subscribe(PREDICTION_START_CHANNEL, began);
  subscribe(PREDICTION_CHANNEL, ended);
  return {
    admits,
    refuse(kind, isInference = false) {
      publishShed(kind);
      return isInference ? DIRECT_INFERENCE : DIRECT;
    },
    admit(request, response) {
      const kind = routeClassOf(request.method ?? "", request.url ?? "");
      if (admits(kind)) return true;
      const { head, body } = refusalFor(request.url ?? "");
      response.writeHead(503, head).end(body);
      publishShed(kind);
      return false;
    },
    get rowsInFlight() {
      return rows;
    },
    close() {
      unsubscribe(PREDICTION_START_CHANNEL, began);
      unsubscribe(PREDICTION_CHANNEL, ended);
    },
  };
}

/** The sample if it is better than what was known, else a mean of both. */
function faster(known: number, sample: number, better: (a: number, b: number) => number): number {
  return known === 0 ? sample : better(sample, 0.7 * known + 0.3 * sample);
}

function publishShed(kind: RouteClass): void {
  if (sheds.hasSubscribers) sheds.publish({ class: kind } satisfies ShedEvent);
}

function shareOf(rows: number): number {
  return Math.min(rows, CHUNK_ROWS);
}
