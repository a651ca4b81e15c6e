import { debianProgram } from "./debian-program.ts";

/** Finds `promtool` or `prometheus`, which one package brings; see {@link debianProgram}. */
export function prometheusTool(name: "promtool" | "prometheus"): string {
  return debianProgram(name, { package: "prometheus" });
}
