/**
 * PostgreSQL's text cannot hold U+0000. It is kept as U+10FFFF and `0`, and U+10FFFF, which Unicode gives to nobody, as
 * itself and `1`; so equal strings stay equal and different ones different.
 */
const ESCAPE = "\u{10ffff}";

/** True if the stored form differs from the string. */
export function needsEscape(text: string): boolean {
  return text.includes("\0") || text.includes(ESCAPE);
}

/** A string as it is stored. */
export function toStoredText(text: string): string {
  return needsEscape(text) ? text.replaceAll(ESCAPE, `${ESCAPE}1`).replaceAll("\0", `${ESCAPE}0`) : text;
}

/** The string that was stored. */
export function fromStoredText(stored: string): string {
  return stored.includes(ESCAPE) ? stored.replaceAll(`${ESCAPE}0`, "\0").replaceAll(`${ESCAPE}1`, ESCAPE) : stored;
}
