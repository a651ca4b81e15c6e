import { millraceError } from "../definitions/errors.ts";

/** The arguments `key=value` of a command, in order. @throws `OPTION_INVALID` if one is none, or a key is given twice */
export function keyValues(pairs: readonly string[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw millraceError("OPTION_INVALID", `'${pair}' must be key=value.`);
    const key = pair.slice(0, at);
    if (found.has(key)) throw millraceError("OPTION_INVALID", `'${key}' is given twice: give one value of it.`);
    found.set(key, pair.slice(at + 1));
  }
  return found;
}
