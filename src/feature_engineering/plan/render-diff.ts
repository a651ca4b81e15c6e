import type { EntryChange, Meaning, PathChange, PlanDiff } from "./diff-plans.ts";
import { canonicalText, type Json } from "./json.ts";

const SIGNS = { added: "+", removed: "-", changed: "~" } as const;
const MEANINGS: Readonly<Record<Meaning, string>> = {
  compatible: "compatible",
  new_values: "new values",
  new_version: "new version",
  breaking: "BREAKING",
};
const LONGEST_VALUE = 160;

/** A diff as text for terminals, one line per change, without colours. */
export function renderDiff(diff: PlanDiff): string {
  if (diff.changes.length === 0) return "No changes.\n";
  return `${diff.changes.flatMap(renderEntry).join("\n")}\n`;
}

function renderEntry(entry: EntryChange): string[] {
  const notes =
    entry.meaning === "compatible" && entry.reason === ""
      ? ""
      : ` (${MEANINGS[entry.meaning]}${entry.reason === "" ? "" : `: ${entry.reason}`})`;
  const shown = entry.paths.filter(({ path }) => path !== "hash" && path !== "state_hash");
  return [
    `${SIGNS[entry.change]} ${entry.kind} ${entry.name}${notes}`,
    ...shown.map((path) => renderPath(path, entry)),
  ];
}

function renderPath({ path, before, after, meaning, reason }: PathChange, entry: EntryChange): string {
  const sign = before === undefined ? "+" : after === undefined ? "-" : "~";
  const values =
    before !== undefined && after !== undefined ? `${short(before)} → ${short(after)}` : short(before ?? after ?? null);
  // The entry's own line says the gravest one already.
  const note = reason === "" || reason === entry.reason ? "" : ` (${MEANINGS[meaning]}: ${reason})`;
  return `    ${sign} ${path}: ${values}${note}`;
}

function short(json: Json): string {
  const text = canonicalText(json);
  return text.length > LONGEST_VALUE ? `${text.slice(0, LONGEST_VALUE - 1)}…` : text;
}
