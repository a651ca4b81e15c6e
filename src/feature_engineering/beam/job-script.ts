import { millraceError } from "../../definitions/errors.ts";
import type { Json } from "../plan/json.ts";
import { isObject } from "../plan/json.ts";
import type { Plan } from "../plan/plan.ts";

/** What needs Unicode's tables, which V8 in the workers is built without: `normalize` would change nothing there. */
const NEEDS_UNICODE = /\\[pP]\{|\.normalize\(|\.toLocale/;

/**
 * The script of one job: the bundle, then `openJob(plan, settings)`, with the functions of the plan by their canonical
 * text. So they are part of a script that the launcher made of its own declarations, and workers evaluate nothing.
 * @throws `BEAM_FUNCTION_UNSUPPORTED`
 */
export function jobScript(bundle: string, plan: Plan): string {
  const sources = new Set<string>();
  gather({ ...plan }, sources);
  for (const source of sources) {
    if (!NEEDS_UNICODE.test(source)) continue;
    throw millraceError(
      "BEAM_FUNCTION_UNSUPPORTED",
      `The function ${source} needs Unicode's tables (\\p{…} or normalize), which Beam's workers do not have: write it without, or compute its view with the embedded engine.`,
    );
  }
  const functions = [...sources].map((source) => `${JSON.stringify(source)}: (${source})`).join(",\n");
  return `${bundle}\nvar openJob = (plan, settings) => millrace.open(plan, settings, {${functions}});\n`;
}

function gather(json: Json, into: Set<string>): void {
  if (Array.isArray(json)) for (const item of json) gather(item, into);
  else if (isObject(json)) {
    if (json.op === "derive") into.add(json.function as string);
    for (const value of Object.values(json)) gather(value, into);
  }
}
