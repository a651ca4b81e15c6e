import type { Identifier } from "acorn";
import { PURE_GLOBALS } from "./pure-globals.ts";
import type { Binding, Names } from "./resolve-names.ts";
import { isIdentifierName } from "./simplify-expression.ts";

const RESERVED = new Set(
  "arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for function if implements import in instanceof interface let new null package private protected public return static super switch this throw true try typeof var void while with yield".split(
    " ",
  ),
);

/** The canonical names of a function's variables. */
export interface Namer {
  of(node: Identifier): string;
  /** True if anything but its declaration names it. */
  isUsed(declared: Identifier): boolean;
}

/** Gives each declared name its canonical one when it is first printed. */
export function createNamer(names: Names): Namer {
  const taken = new Set([...RESERVED, ...PURE_GLOBALS.keys()]);
  const given = new Map<Binding, string>();
  const uses = new Map<Binding, number>();
  for (const binding of names.values()) if (binding !== null) uses.set(binding, (uses.get(binding) ?? 0) + 1);
  let count = 0;

  const name = (binding: Binding): string => {
    const hint = binding.hint !== null && isIdentifierName(binding.hint) ? binding.hint : null;
    let candidate = hint ?? `v${++count}`;
    for (let next = 2; taken.has(candidate); next++) candidate = hint === null ? `v${++count}` : `${hint}_${next}`;
    taken.add(candidate);
    given.set(binding, candidate);
    return candidate;
  };
  return {
    of: (node) => {
      const binding = names.get(node) ?? null;
      return binding === null ? node.name : (given.get(binding) ?? name(binding));
    },
    isUsed: (declared) => {
      const binding = names.get(declared) ?? null;
      return binding !== null && (uses.get(binding) ?? 0) > 1;
    },
  };
}
