import { deadlineExceeded } from "../models/deadline-exceeded.ts";

/** The same pieces, until the deadline on the monotonic clock, milliseconds. @throws `DEADLINE_EXCEEDED` */
export async function* untilDeadline(pieces: AsyncGenerator<Buffer>, deadline?: number): AsyncGenerator<Buffer> {
  if (deadline === undefined) return yield* pieces;
  const late = Promise.withResolvers<never>();
  late.promise.catch(() => {});
  const timer = setTimeout(() => late.reject(deadlineExceeded()), Math.max(0, deadline - performance.now()));
  try {
    for (;;) {
      const next = await Promise.race([pieces.next(), late.promise]);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    clearTimeout(timer);
    // Waits for a piece that may never come: nobody waits for it.
    pieces.return(undefined).catch(() => {});
  }
}
