import { isMillraceError } from "../definitions/errors.ts";
import { hideSecrets } from "../monitoring/logging/hide-secrets.ts";
import { secretsOf } from "../monitoring/logging/secrets-of.ts";

/** Prints an error as `code: message`; exit code 2 if somebody can mend it, 1 if it is a bug of ours. */
export function fail(error: unknown, options: { readonly debug?: boolean; readonly json?: boolean }): void {
  const known = isMillraceError(error);
  const code = known ? error.code : "BUG";
  const hide = hideSecrets(secretsOf(null, process.env));
  const message = hide(error instanceof Error ? error.message : String(error));
  if (options.json === true)
    process.stdout.write(
      hide(`${JSON.stringify({ error: { code, message, ...(known ? { details: error.details } : {}) } })}\n`),
    );
  process.stderr.write(`${code}: ${message}\n`);
  if (options.debug === true && error instanceof Error) process.stderr.write(hide(`${error.stack}\n`));
  process.exitCode = known && error.kind !== "bug" ? 2 : 1;
}
