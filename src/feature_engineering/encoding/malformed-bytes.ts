/** What bytes that no Millrace encoder wrote, or that were cut short, are reported as. `position` is in bytes. */
export function malformedBytes(what: string, position: number): RangeError {
  const error = new RangeError(
    `Cannot decode: ${what} at byte ${position}. The bytes were cut short or written by something else; ` +
      "drop them and compute them again from the events.",
  );
  error.name = "MalformedBytesError";
  return error;
}
