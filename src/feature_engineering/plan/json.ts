import { murmur3 } from "../encoding/murmur3.ts";
import { utf8Length, writeUtf8 } from "../encoding/utf8.ts";

/** Plain JSON, as plans are made of. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json;
}

/** Canonical JSON text (RFC 8785): names sorted by UTF-16 code units, no spaces, shortest numbers. Numbers are finite. */
export function canonicalText(json: Json): string {
  if (json === null || typeof json !== "object") return JSON.stringify(json);
  if (isList(json)) return `[${json.map(canonicalText).join(",")}]`;
  const names = Object.keys(json).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonicalText(json[name]!)}`).join(",")}}`;
}

/** MurmurHash3_x86_128, seed 0, of the UTF-8 of the canonical text, as 32 hex digits. Not cryptographic. */
export function hashJson(json: Json): string {
  const text = canonicalText(json);
  const bytes = new Uint8Array(utf8Length(text));
  const words = new Uint32Array(4);
  murmur3(bytes, 0, writeUtf8(text, bytes, 0), 0, words);
  return Array.from(words, (word) => word.toString(16).padStart(8, "0")).join("");
}

export function isList(json: Json | undefined): json is readonly Json[] {
  return Array.isArray(json);
}

export function isObject(json: Json | undefined): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}
