import type { Value } from "../../definitions/value.ts";
import type { DeadLetter } from "../../feature_engineering/engine/event-log.ts";
import type { EntityRole } from "./offline-store.ts";

/**
 * Whether a dead letter belongs to an entity, so that erasing the entity removes it. A letter of another source than
 * the roles' does not. Its bytes, if they are a JSON object that has every key column of a role as a text, number or
 * bool, are decided by these columns: in any role all of them equal the key's parts, compared as text. Any other bytes
 * belong to the entity if each part of the key is in them as text, with neither a letter nor a digit directly before or
 * after it: rather one letter too many than one too few.
 */
export function namesEntity(
  letter: Pick<DeadLetter, "source" | "bytes">,
  roles: readonly EntityRole[],
  key: readonly Value[],
): boolean {
  const mine = roles.filter((role) => role.source === letter.source);
  if (mine.length === 0) return false;
  const text = new TextDecoder("utf-8").decode(letter.bytes);
  const parts = key.map(String);
  const object = parseObject(text);
  if (object !== null && mine.every((role) => role.keyColumns.every((name) => isKey(object[name])))) {
    return mine.some((role) => role.keyColumns.every((name, index) => isPart(object[name], key[index]!)));
  }
  return parts.every((part) => hasWord(text, part));
}

function isKey(value: unknown): boolean {
  // JSON.parse has rounded a larger integer.
  return typeof value === "string" || typeof value === "boolean" || Number.isSafeInteger(value);
}

/** Compared as text, or as a moment if the key is one. */
function isPart(value: unknown, part: Value): boolean {
  return String(value) === String(part) || (typeof part === "number" && Date.parse(String(value)) === part);
}

function parseObject(text: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Readonly<Record<string, unknown>>)
      : null;
  } catch {
    return null;
  }
}

const WORD = /[\p{L}\p{N}]/u;

function hasWord(text: string, word: string): boolean {
  if (word === "") return false;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const before = text.slice(Math.max(0, at - 1), at);
    const after = text.slice(at + word.length, at + word.length + 1);
    if (!WORD.test(before) && !WORD.test(after)) return true;
  }
  return false;
}
