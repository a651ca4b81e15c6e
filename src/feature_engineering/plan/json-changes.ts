import { canonicalText, isList, isObject, type Json, type JsonObject } from "./json.ts";

/** One difference between two JSON values. */
export interface JsonChange {
  /** Names joined by dots; members of lists by their `name`, else by their index. */
  readonly path: string;
  /** Undefined: it was added. */
  readonly before: Json | undefined;
  /** Undefined: it was removed. */
  readonly after: Json | undefined;
}

/** The differences between two objects, by path; a list of named members that is only reordered has the path `….order`. */
export function entryChanges(before: JsonObject, after: JsonObject): JsonChange[] {
  return compareObjects("", before, after);
}

function compare(path: string, before: Json | undefined, after: Json | undefined): JsonChange[] {
  if (before !== undefined && after !== undefined) {
    if (canonicalText(before) === canonicalText(after)) return [];
    if (isObject(before) && isObject(after)) return compareObjects(path, before, after);
    if (isNamedList(before) && isNamedList(after)) return compareLists(path, before, after);
  }
  return [{ path, before, after }];
}

function compareObjects(path: string, before: JsonObject, after: JsonObject): JsonChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
  return names.flatMap((name) =>
    Object.hasOwn(before, name) || Object.hasOwn(after, name)
      ? compare(path === "" ? name : `${path}.${name}`, before[name], after[name])
      : [],
  );
}

type NamedList = readonly (JsonObject & { readonly name: string })[];

function isNamedList(json: Json): json is NamedList {
  return isList(json) && json.every((item) => isObject(item) && typeof item.name === "string");
}

function compareLists(path: string, before: NamedList, after: NamedList): JsonChange[] {
  const byName = (list: NamedList): JsonObject => Object.fromEntries(list.map((item) => [item.name, item]));
  const old = byName(before);
  const now = byName(after);
  const order = (list: NamedList): string[] => list.map((item) => item.name).filter((n) => n in old && n in now);
  const changes = compareObjects(path, old, now);
  const [was, is] = [order(before), order(after)];
  return was.join() === is.join() ? changes : [...changes, { path: `${path}.order`, before: was, after: is }];
}
