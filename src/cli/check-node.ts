import { millraceError } from "../definitions/errors.ts";

/** The oldest Node that reads TypeScript declarations as they are. */
const OLDEST = 24;

/** @throws `NODE_TOO_OLD` if this Node (`process.versions.node`) cannot run Millrace. */
export function checkNode(version: string): void {
  if (Number.parseInt(version, 10) >= OLDEST) return;
  throw millraceError(
    "NODE_TOO_OLD",
    `Millrace needs Node ${OLDEST} or newer, this is Node ${version}: install it, or \`npm install --save-dev node@${OLDEST}\` and run \`npx millrace\` again.`,
  );
}
