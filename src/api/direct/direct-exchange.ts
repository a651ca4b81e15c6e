import type { PlainHead } from "./request-head.ts";

/** A request that was let in. */
export interface DirectExchange {
  /** On the monotonic clock, milliseconds. */
  readonly arrived: number;
  /** As `PredictRequest` has it. */
  readonly deadline: { readonly deadline?: number; readonly isGone: () => boolean };
  /** Does what is done later for what the request itself is done for; null where nobody asks. */
  readonly inContext: ((work: () => void) => void) | null;
  answer(headers: string, body: string | Buffer): void;
  fail(error: unknown): void;
}

/** Does what a request asks for. False: it is for the route, and nothing was done. */
export type DirectWork = (head: PlainHead, bytes: Buffer, from: number, exchange: DirectExchange) => boolean;

/** What fails while the answer is written is an error of the request, too. */
export function answerLater<T>(exchange: DirectExchange, promise: Promise<T>, answer: (done: T) => void): void {
  promise.then(answer).catch(exchange.fail);
}

/** Headers as lines of a head. */
export function headerLines(headers: Readonly<Record<string, string>>): string {
  let lines = "";
  for (const [name, value] of Object.entries(headers)) lines += `${name}: ${value}\r\n`;
  return lines;
}
