/** Who has to act: the caller (`user`), the operator or a dependency (`operational`), or Millrace's authors (`bug`). */
export type ErrorKind = "user" | "operational" | "bug";

export interface MillraceErrorOptions {
  readonly cause?: unknown;
  /** Machine-readable facts that go into problem+json and logs; never secrets, never entity keys. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** Default `user`. */
  readonly kind?: ErrorKind;
}

/** The one base class of all errors that Millrace throws on purpose. `code` is stable; the message says what, why and what to do. */
export class MillraceError extends Error {
  override readonly name: string = "MillraceError";
  readonly code: string;
  readonly kind: ErrorKind;
  readonly details: Readonly<Record<string, unknown>>;

  constructor(code: string, message: string, options: MillraceErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.kind = options.kind ?? "user";
    this.details = options.details ?? {};
  }
}

/** Makes a {@link MillraceError}. */
export function millraceError(code: string, message: string, options?: MillraceErrorOptions): MillraceError {
  return new MillraceError(code, message, options);
}

/** True for a {@link MillraceError}, also one that crossed a thread as a plain object. */
export function isMillraceError(error: unknown): error is MillraceError {
  return error instanceof Error && "code" in error && error.name === "MillraceError";
}
