import { millraceError } from "./errors.ts";

/**
 * Checks a data name: snake_case, a letter first, at most 63 characters.
 * @throws `NAME_INVALID`
 */
export function checkName(what: string, name: string): string {
  if (typeof name !== "string" || !/^[a-z][a-z0-9_]{0,62}$/.test(name)) {
    throw millraceError(
      "NAME_INVALID",
      `'${String(name)}' is not a name for ${what}: use snake_case (a–z, 0–9, _), a letter first, at most 63 characters.`,
    );
  }
  return name;
}
