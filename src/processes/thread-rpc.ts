import { isMillraceError, millraceError } from "../definitions/errors.ts";

/** Methods that another thread may call: arguments and results are structured-cloned. */
// biome-ignore lint/suspicious/noExplicitAny: any list of arguments
export type RpcMethods = Readonly<Record<string, (...args: any[]) => unknown>>;

/** The other thread's methods, each returning a promise. */
export type RpcClient<M extends RpcMethods> = {
  readonly [K in keyof M]: (...args: Parameters<M[K]>) => Promise<Awaited<ReturnType<M[K]>>>;
};

interface Call {
  readonly call: number;
  readonly method: string;
  readonly args: readonly unknown[];
}
interface Answer {
  readonly answer: number;
  readonly value?: unknown;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly kind: "user" | "operational" | "bug";
    readonly details: object;
  };
}
interface Notice {
  readonly notice: string;
  readonly value: unknown;
}
/** The notice of a thread that does nothing any more, with the reason. */
export const DIED = "died";
type Message = Call | Answer | Notice;

/** The other thread or process: what is sent is structured-cloned. */
export interface RpcPeer {
  postMessage(message: unknown): void;
  // biome-ignore lint/suspicious/noExplicitAny: what comes is a message, an error or an exit code
  on(event: "message" | "error" | "exit", listener: (value: any) => void): unknown;
}

/** Answers calls that come from the other side. */
export function serveRpc(
  port: Pick<RpcPeer, "postMessage"> & { on(event: "message", listener: (message: Message) => void): unknown },
  methods: RpcMethods,
): void {
  port.on("message", async (message: Message) => {
    if (!("call" in message)) return;
    const answer = message.call;
    try {
      const method = methods[message.method];
      if (method === undefined)
        throw millraceError("BUG", `The thread has no method ${message.method}.`, { kind: "bug" });
      port.postMessage({ answer, value: await method(...message.args) } satisfies Answer);
    } catch (error) {
      port.postMessage({ answer, error: portableError(error) } satisfies Answer);
    }
  });
}

/** Tells the other side something that it did not ask for. */
export function notify(port: Pick<RpcPeer, "postMessage">, notice: string, value: unknown): void {
  port.postMessage({ notice, value } satisfies Notice);
}

/**
 * Calls the worker's methods. If the worker dies, all calls reject with `THREAD_DIED`.
 * `onNotice` takes what the worker tells unasked.
 */
export function callRpc<M extends RpcMethods>(
  worker: RpcPeer,
  onNotice: (notice: string, value: unknown) => void,
): RpcClient<M> {
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  let next = 0;
  let dead: Error | null = null;
  worker.on("message", (message: Message) => {
    if ("notice" in message) {
      if (message.notice === DIED) die(String(message.value));
      return onNotice(message.notice, message.value);
    }
    if (!("answer" in message)) return;
    const call = waiting.get(message.answer);
    waiting.delete(message.answer);
    if (message.error === undefined) call?.resolve(message.value);
    else
      call?.reject(
        millraceError(message.error.code, message.error.message, {
          kind: message.error.kind,
          details: { ...message.error.details },
        }),
      );
  });
  const die = (why: string): void => {
    dead ??= millraceError("THREAD_DIED", `The pipeline's thread ended: ${why}.`, { kind: "operational" });
    for (const { reject } of waiting.values()) reject(dead);
    waiting.clear();
  };
  worker.on("error", (error) => die(error instanceof Error ? error.message : String(error)));
  worker.on("exit", (code) => die(`exit code ${code}`));
  return new Proxy({} as RpcClient<M>, {
    get:
      (_target, method: string) =>
      (...args: unknown[]) =>
        new Promise((resolve, reject) => {
          if (dead !== null) return reject(dead);
          const call = next++;
          waiting.set(call, { resolve, reject });
          worker.postMessage({ call, method, args } satisfies Call);
        }),
  });
}

/** An error as structured cloning keeps it. */
export function portableError(error: unknown): NonNullable<Answer["error"]> {
  if (isMillraceError(error))
    return { code: error.code, message: error.message, kind: error.kind, details: { ...error.details } };
  return {
    code: "INTERNAL",
    message: error instanceof Error ? error.message : String(error),
    kind: "bug",
    details: {},
  };
}
