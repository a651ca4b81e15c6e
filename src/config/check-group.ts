import { millraceError } from "../definitions/errors.ts";

/** What a value of a configuration must be. */
export interface ValueKind {
  /** Ends the sentence "… must be". */
  readonly expected: string;
  readonly fits: (value: unknown) => boolean;
}

/** Values by their names; each may be left out. */
export type ValueKinds = Readonly<Record<string, ValueKind>>;

/** Checked elsewhere. */
export const ANYTHING: ValueKind = { expected: "anything", fits: () => true };
export const FLAG: ValueKind = { expected: "true or false", fits: (value) => typeof value === "boolean" };
export const TEXT: ValueKind = {
  expected: "a text, and not an empty one",
  fits: (value) => typeof value === "string" && value.trim() !== "",
};
/** Passwords may be of blanks, and even empty. */
export const SECRET: ValueKind = { expected: "a text", fits: (value) => typeof value === "string" };

export function oneOfTexts(...texts: readonly string[]): ValueKind {
  return { expected: `one of ${texts.join(", ")}`, fits: (value) => texts.includes(value as string) };
}

export function wholeNumber(least: number, most: number): ValueKind {
  return {
    expected: `a whole number from ${least} to ${most}`,
    fits: (value) => Number.isInteger(value) && Number(value) >= least && Number(value) <= most,
  };
}

/** True for an object that holds values by name. */
export function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Checks values that stand together in a configuration: that nothing is misspelt, and each is what it must be. A value
 * is never shown: it may be a secret. @throws `CONFIG_INVALID`, naming the value
 */
export function checkGroup(where: string, group: unknown, kinds: ValueKinds): void {
  const known = Object.keys(kinds).join(", ");
  if (!isGroup(group)) throw invalid(where, `an object with ${known}`);
  for (const [name, value] of Object.entries(group)) {
    const kind = Object.hasOwn(kinds, name) ? kinds[name] : undefined;
    if (kind === undefined) {
      throw millraceError("CONFIG_INVALID", `The configuration has no '${where}.${name}': known here are ${known}.`, {
        details: { name: `${where}.${name}` },
      });
    }
    if (value !== undefined && !kind.fits(value)) throw invalid(`${where}.${name}`, kind.expected);
  }
}

/** Checks groups that stand under names of the user's. @throws `CONFIG_INVALID` */
export function checkGroups(where: string, groups: unknown, kinds: ValueKinds): void {
  if (groups === undefined) return;
  if (!isGroup(groups)) throw invalid(where, "an object by name, such as { default: { … } }");
  for (const [name, group] of Object.entries(groups)) checkGroup(`${where}.${name}`, group, kinds);
}

function invalid(name: string, expected: string): Error {
  return millraceError("CONFIG_INVALID", `${name} must be ${expected}.`, { details: { name } });
}
