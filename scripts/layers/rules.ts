import { readFileSync } from "node:fs";
import path from "node:path";

/** What one entry of an area's `imports` allows. */
export interface ImportRule {
  /** A glob relative to `src/`. */
  readonly files: string;
  /** If given, the only names that may be imported. */
  readonly names?: readonly string[];
  /** True if only `import type` is allowed. */
  readonly typesOnly: boolean;
}

export interface Area {
  readonly name: string;
  readonly files: readonly string[];
  readonly pure: boolean;
  readonly imports: readonly ImportRule[];
  readonly builtins: readonly string[];
}

/** The content of `layers.json`, with its groups expanded. */
export interface LayerRules {
  readonly areas: readonly Area[];
  readonly packages: Readonly<Record<string, readonly string[]>>;
  readonly computedImports: readonly string[];
  readonly pure: { readonly globals: readonly string[]; readonly members: readonly string[] };
}

type RawImport = string | { readonly files: string; readonly names?: readonly string[]; readonly typesOnly?: boolean };

interface RawRules extends Omit<LayerRules, "areas"> {
  readonly groups: Readonly<Record<string, readonly string[]>>;
  readonly areas: readonly {
    readonly name: string;
    readonly files: readonly string[];
    readonly pure?: boolean;
    readonly imports: readonly RawImport[];
    readonly builtins: readonly string[];
  }[];
}

/** Reads `layers.json` of the repository at `root`. */
export function readLayerRules(root: string): LayerRules {
  const raw: RawRules = JSON.parse(readFileSync(path.join(root, "layers.json"), "utf8"));
  const expand = (pattern: string): readonly string[] => raw.groups[pattern] ?? [pattern];
  return {
    ...raw,
    areas: raw.areas.map((area) => ({
      name: area.name,
      files: area.files.flatMap(expand),
      pure: area.pure ?? false,
      builtins: area.builtins,
      imports: area.imports.flatMap((rule): ImportRule[] => {
        if (typeof rule === "string") return expand(rule).map((files) => ({ files, typesOnly: false }));
        return expand(rule.files).map((files) => ({
          files,
          typesOnly: rule.typesOnly ?? false,
          ...(rule.names === undefined ? {} : { names: rule.names }),
        }));
      }),
    })),
  };
}

/** True if `file`, a path relative to `src/`, matches one of the globs. */
export function matchesAny(file: string, patterns: readonly string[]): boolean {
  return patterns.some((pattern) => path.posix.matchesGlob(file, pattern));
}
