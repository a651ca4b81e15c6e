import type { Json } from "../plan/json.ts";
import { isObject } from "../plan/json.ts";
import type { Plan } from "../plan/plan.ts";

/**
 * The script of one job: the bundle, then `openJob(plan, settings)`, with the functions of the plan by their canonical
 * text. So they are part of a script that the launcher made of its own declarations, and workers evaluate nothing.
 */
export function jobScript(bundle: string, plan: Plan): string {
  const sources = new Set<string>();
  gather({ ...plan }, sources);
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
