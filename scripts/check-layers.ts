import { existsSync, globSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import path from "node:path";
import { parseSync } from "oxc-parser";
import { usesForbiddenEverywhere, usesForbiddenInPure } from "./layers/forbidden-uses.ts";
import { importsOf, type ModuleReference } from "./layers/imports-of.ts";
import { type Area, type LayerRules, matchesAny, readLayerRules } from "./layers/rules.ts";

/** A line of source that breaks the rules of `layers.json`. */
export interface Violation {
  /** Relative to the repository, with forward slashes. */
  readonly file: string;
  /** Counted from 1. */
  readonly line: number;
  readonly what: string;
  readonly why: string;
}

/** Checks every TypeScript and JavaScript file under `src/` of the repository at `root` against its `layers.json`. */
export function checkLayers(root: string): readonly Violation[] {
  const rules = readLayerRules(root);
  const source = path.join(root, "src");
  const files = globSync("**/*.{ts,mts,cts,tsx,js,mjs,cjs}", { cwd: source })
    .map((file) => file.replaceAll(path.sep, "/"))
    .sort();
  return files.flatMap((file) => checkFile(rules, file, readFileSync(path.join(source, file), "utf8")));
}

function checkFile(rules: LayerRules, file: string, text: string): Violation[] {
  const violations: Violation[] = [];
  const add = (start: number, what: string, why: string): void => {
    const line = text.slice(0, start).split("\n").length;
    violations.push({ file: `src/${file}`, line, what, why });
  };

  const area = rules.areas.find(({ files }) => matchesAny(file, files));
  if (area === undefined) {
    add(0, "is in no area", "name its folder in layers.json, with what it may import, or move the file");
    return violations;
  }
  const { program, comments, errors } = parseSync(file, text);
  if (errors.length > 0) {
    add(0, "cannot be parsed", errors[0]?.message ?? "");
    return violations;
  }

  for (const reference of importsOf(program)) {
    const why = reasonAgainst(rules, area, file, reference);
    if (why !== null) add(reference.start, `imports ${reference.specifier ?? "a computed module"}`, why);
  }
  const uses = area.pure ? usesForbiddenInPure(program, rules.pure) : [];
  for (const use of [...usesForbiddenEverywhere(program), ...uses]) add(use.start, `uses ${use.what}`, use.why);
  for (const comment of comments) {
    if (/^\/\s*<reference\b/.test(comment.value)) {
      add(comment.start, "has a /// <reference>", "it imports types past this check; import them instead");
    }
  }
  return violations.sort((a, b) => a.line - b.line);
}

/** Why the file may not have this reference, or null if it may. */
function reasonAgainst(rules: LayerRules, area: Area, file: string, reference: ModuleReference): string | null {
  const { specifier } = reference;
  if (specifier === null) {
    if (matchesAny(file, rules.computedImports)) return null;
    return "only the files under computedImports in layers.json may compute what they load; write the name out";
  }
  if (isBuiltin(specifier)) {
    const name = specifier.replace(/^node:/, "");
    if (area.builtins.includes(name)) return null;
    if (area.builtins.includes("*") && !area.builtins.includes(`!${name}`)) return null;
    if (area.pure) return `${area.name} may import no Node built-in: it also runs inside a JVM`;
    return `${area.name} may not import the built-in ${name}: it is not in the area's list in layers.json`;
  }
  if (!specifier.startsWith(".")) return reasonAgainstPackage(rules, file, specifier);

  const target = path.posix.join(path.posix.dirname(file), specifier);
  if (target.startsWith("../")) return "src/ imports nothing outside src/";
  return reasonAgainstFile(rules, area, target, reference);
}

function reasonAgainstPackage(rules: LayerRules, file: string, specifier: string): string | null {
  const name = specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
  const allowed = rules.packages[name];
  if (allowed === undefined) return `the package ${name} is not in layers.json: name the adapter that may import it`;
  if (matchesAny(file, allowed)) return null;
  return `the package ${name} may be imported in ${allowed.join(", ")} only`;
}

function reasonAgainstFile(rules: LayerRules, area: Area, target: string, reference: ModuleReference): string | null {
  if (matchesAny(target, area.files)) return null;
  const matching = area.imports.filter((rule) => matchesAny(target, [rule.files]));
  if (matching.length === 0) {
    const owner = rules.areas.find(({ files }) => matchesAny(target, files))?.name ?? "a file of no area";
    return `${area.name} may not import from ${owner}; it may import ${describe(area)}`;
  }
  const whyNot = matching.map((rule) => {
    if (rule.typesOnly && !reference.typeOnly) return `${area.name} may import only types from it: use import type`;
    const { names } = rule;
    if (names !== undefined && (reference.names.length === 0 || reference.names.some((it) => !names.includes(it)))) {
      return `${area.name} may import only ${names.join(", ")} from it`;
    }
    return null;
  });
  return whyNot.includes(null) ? null : (whyNot[0] ?? null);
}

function describe(area: Area): string {
  return ["itself", ...area.imports.map(({ files }) => files)].join(", ");
}

if (import.meta.main) {
  const root = path.resolve(process.argv[2] ?? path.join(import.meta.dirname, ".."));
  if (!existsSync(path.join(root, "layers.json"))) {
    console.error(`check-layers: ${root} has no layers.json; give the repository's folder as the argument.`);
    process.exit(2);
  }
  const violations = checkLayers(root);
  for (const { file, line, what, why } of violations) console.error(`${file}:${line} ${what}: ${why}`);
  if (violations.length > 0) console.error(`${violations.length} violation(s) of layers.json`);
  process.exitCode = violations.length > 0 ? 1 : 0;
}
