import { type MillraceError, millraceError } from "../../definitions/errors.ts";

/** `MALFORMED_BYTES`: bytes that no Millrace encoder wrote, or that were cut short. `position` is in bytes. */
export function malformedBytes(what: string, position: number): MillraceError {
  return millraceError(
    "MALFORMED_BYTES",
    `Cannot decode: ${what} at byte ${position}. The bytes were cut short or written by something else; ` +
      "drop them and compute them again from the events.",
    { kind: "operational", details: { position } },
  );
}

/** `NOT_ENCODABLE`: a number that a writer's integer method cannot hold. */
export function notEncodable(method: string, value: number): MillraceError {
  return millraceError(
    "NOT_ENCODABLE",
    `Cannot write ${value} as a ${method}: it holds only integers within its bounds. Write it with f64 or value.`,
    { kind: "bug" },
  );
}

/** `KEY_TYPE_MISMATCH`: a key value that is not of its declared type. */
export function keyTypeMismatch(declared: string, found: string): MillraceError {
  return millraceError(
    "KEY_TYPE_MISMATCH",
    `A key declared as ${declared} got a ${found}, so no entity can be looked up. Pass a value of the declared type.`,
    { details: { declared, found } },
  );
}
