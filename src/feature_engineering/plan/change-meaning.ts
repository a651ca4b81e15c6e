import { isList, isObject, type Json, type JsonObject } from "./json.ts";
import type { JsonChange } from "./json-changes.ts";

/**
 * What a change means, from harmless to grave:
 * - `compatible`: no value changes;
 * - `new_values`: values change when they are read; nothing stored does;
 * - `new_version`: a view gets a new key space, which is filled from history and then switched to;
 * - `breaking`: what is stored does not fit.
 */
export type Meaning = "compatible" | "new_values" | "new_version" | "breaking";

const ORDER: readonly Meaning[] = ["compatible", "new_values", "new_version", "breaking"];

/** The gravest meaning; `compatible` of none. */
export function worst(meanings: readonly Meaning[]): Meaning {
  return ORDER[Math.max(0, ...meanings.map((meaning) => ORDER.indexOf(meaning)))]!;
}

interface Verdict {
  readonly meaning: Meaning;
  readonly reason: string;
}

const COMPATIBLE: Verdict = { meaning: "compatible", reason: "" };
const ABOUT = new Set(["description", "owner", "tags"]);

/** What one change of an entry means. `was` and `is` are the whole entries. */
export function meaningOf(kind: string, change: JsonChange, was: JsonObject, is: JsonObject): Verdict {
  const top = change.path.split(".")[0]!;
  if (ABOUT.has(top)) return COMPATIBLE;
  switch (kind) {
    case "source":
      return ofSource(top, change);
    case "view":
      return ofView(top, change, was, is);
    case "service":
      return ofService(top, was, is);
    case "entity":
      return ofEntity(change);
    case "outcome":
      return COMPATIBLE;
    default:
      return ofModel(top);
  }
}

function ofSource(top: string, change: JsonChange): Verdict {
  switch (top) {
    case "columns":
      return ofColumn(change);
    case "kind":
    case "event_time":
    case "id":
    case "version":
    case "ingested_at":
      return {
        meaning: "breaking",
        reason: `stored events were timed, ordered and told apart by the old ${top}: give the source a new name`,
      };
    case "deleted":
    case "clock":
      return { meaning: "new_version", reason: `the source's views are filled again: its ${top} changed` };
    default:
      return COMPATIBLE;
  }
}

function ofColumn({ path, before, after }: JsonChange): Verdict {
  const [, name, ...rest] = path.split(".");
  if (name === "order" && rest.length === 0 && isList(before)) return COMPATIBLE;
  if (rest.length === 0 && before === undefined) {
    const nullable = isObject(after) && isObject(after.type) && after.type.nullable === true;
    return nullable ? COMPATIBLE : breaking(`stored events have no '${name}': declare it nullable`);
  }
  if (after === undefined && rest.length === 0) return breaking(`stored events have a '${name}': keep the column`);
  switch (rest.at(-1)) {
    case "nullable":
      return after === true ? COMPATIBLE : breaking(`stored events may have a null '${name}'`);
    case "values":
      return includesAll(after, before)
        ? COMPATIBLE
        : breaking(`stored events may have a '${name}' that is no longer allowed: only add values`);
    default:
      return breaking(`stored events have a '${name}' of another type: add a column with another name`);
  }
}

function breaking(why: string): Verdict {
  return { meaning: "breaking", reason: `${why}, or give the source a new name` };
}

function includesAll(list: Json | undefined, part: Json | undefined): boolean {
  return isList(list) && isList(part) && part.every((item) => list.includes(item));
}

function ofView(top: string, change: JsonChange, was: JsonObject, is: JsonObject): Verdict {
  const isNewVersion = was.state_hash !== is.state_hash;
  if (change.path.endsWith(".default") && top === "features") {
    return { meaning: "new_values", reason: "the default is applied when the feature is read" };
  }
  if (top === "version") {
    return { meaning: "new_version", reason: `${String(is.version)} is filled from history, then switched to` };
  }
  if (top === "hash" || top === "state_hash" || !isNewVersion || change.path.endsWith(".type.nullable")) {
    return COMPATIBLE;
  }
  return { meaning: "new_version", reason: `${String(is.version)} is filled from history, then switched to` };
}

function ofService(top: string, was: JsonObject, is: JsonObject): Verdict {
  if (top === "lookup") return { meaning: "compatible", reason: "requests must hold the new lookup" };
  if (was.hash === is.hash) return COMPATIBLE;
  return { meaning: "new_values", reason: "models that were trained on the old rows are refused: train them again" };
}

function ofEntity({ path }: JsonChange): Verdict {
  if (path.includes(".type")) {
    return { meaning: "new_version", reason: "the entity's views are filled again: its key's type changed" };
  }
  return { meaning: "compatible", reason: "requests must hold the new keys" };
}

function ofModel(top: string): Verdict {
  return top === "timeout_ms" || top === "log_sample_rate"
    ? COMPATIBLE
    : { meaning: "new_values", reason: "the model answers otherwise" };
}
