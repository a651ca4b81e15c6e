/** What stands in a secret's place. */
export const HIDDEN = "[hidden]";

const USER_INFO = /(\w:\/\/[^\s/:@"']*):[^\s/@"']+@/g;
const CREDENTIALS = /\b(Bearer|Basic) +[\w+/.~=-]{6,}/gi;

/**
 * A function that takes secrets out of a text: the given ones, as they are, within JSON and percent-encoded, and, known
 * or not, the passwords of URLs and what follows `Bearer` and `Basic`.
 */
export function hideSecrets(secrets: readonly string[]): (text: string) => string {
  const forms = new Set(
    secrets.flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]),
  );
  // The longest first: one may begin with another.
  const known = [...forms]
    .sort((a, b) => b.length - a.length)
    .map((form) => form.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&"));
  const pattern = known.length === 0 ? null : new RegExp(known.join("|"), "g");
  return (text) => {
    const rest = pattern === null ? text : text.replace(pattern, HIDDEN);
    return rest.replace(USER_INFO, `$1:${HIDDEN}@`).replace(CREDENTIALS, `$1 ${HIDDEN}`);
  };
}
