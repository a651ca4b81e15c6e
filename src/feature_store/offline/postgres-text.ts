import { fromStoredText, needsEscape, toStoredText } from "../../feature_engineering/encoding/stored-text.ts";

export { fromStoredText, needsEscape, toStoredText };

/** A quoted name. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text constant, whatever `standard_conforming_strings` says. */
export function textLiteral(text: string): string {
  return `E'${toStoredText(text.toWellFormed()).replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}
