import { fileURLToPath } from "node:url";
import { isMillraceError } from "../definitions/errors.ts";

/**
 * Prints an error as `code: message`, with `--json` also as JSON on stdout, with `--debug` also its stacks. Exit code 2
 * if somebody can mend it, 1 if it is a bug of ours.
 */
export function fail(error: unknown, options: { readonly debug?: boolean; readonly json?: boolean }): void {
  const known = isMillraceError(error);
  const code = known ? error.code : "BUG";
  const isBug = !known || error.kind === "bug";
  const text = error instanceof Error ? error.message : String(error);
  const place = known ? placeOf(error.cause) : null;
  const message = place === null || text.includes(place) ? text : `${text} (${place})`;
  if (options.json === true) {
    const details = known ? error.details : {};
    process.stdout.write(`${JSON.stringify({ error: { code, message, details } })}\n`);
  }
  process.stderr.write(`${code}: ${message}\n`);
  if (isBug) process.stderr.write("This is a bug in Millrace. Run it again with --debug and report what it prints.\n");
  if (options.debug === true) {
    for (let cause = error; cause instanceof Error; cause = cause.cause) process.stderr.write(`${cause.stack}\n`);
  }
  process.exitCode = isBug ? 1 : 2;
}

/** Millrace's own files; a user's mistake is never there. */
const OWN = new URL("..", import.meta.url).href;

/**
 * Where in the user's files an import failed, as `file:line`: a syntax error's stack begins with it, a thrown error's
 * has it in the first frame that is the user's.
 */
export function placeOf(cause: unknown): string | null {
  if (!(cause instanceof Error) || cause.stack === undefined) return null;
  const syntax = /^((?:file:\/\/)?\/.*|[A-Za-z]:\\.*):(\d+)\n/.exec(cause.stack);
  if (syntax !== null) return `${pathOf(syntax[1]!)}:${syntax[2]}`;
  for (const frame of cause.stack.matchAll(/(file:\/\/.*?):(\d+):\d+\)?$/gm)) {
    if (!frame[1]!.startsWith(OWN) && !frame[1]!.includes("/node_modules/")) return `${pathOf(frame[1]!)}:${frame[2]}`;
  }
  return null;
}

function pathOf(url: string): string {
  return url.startsWith("file:") ? fileURLToPath(url.replace(/\?.*$/, "")) : url;
}
