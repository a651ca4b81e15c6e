import type { ByteReader } from "../encoding/byte-reader.ts";
import type { ByteWriter } from "../encoding/byte-writer.ts";
import { malformedBytes } from "../encoding/encoding-errors.ts";

/** What a categorical transform tells apart: texts, and null where that is a category. */
export type Category = string | null;

/** Sorted by UTF-16 code units, the default of sort(); null last. */
export function sortCategories(categories: Iterable<Category>): Category[] {
  const all = [...categories];
  const texts = all.filter((category) => category !== null).sort();
  return texts.length < all.length ? [...texts, null] : texts;
}

/** `units`: a text with a lone surrogate, which UTF-8 does not have. */
const form = { null: 0, utf8: 1, units: 2 } as const;

export function writeCategory(category: Category, out: ByteWriter): void {
  if (category === null) {
    out.u8(form.null);
  } else if (category.isWellFormed()) {
    out.u8(form.utf8);
    out.string(category);
  } else {
    out.u8(form.units);
    out.varint(category.length);
    for (let index = 0; index < category.length; index++) out.varint(category.charCodeAt(index));
  }
}

/** @throws `MALFORMED_BYTES` */
export function readCategory(input: ByteReader): Category {
  const kind = input.u8();
  if (kind === form.null) return null;
  if (kind === form.utf8) return input.string();
  if (kind !== form.units) throw malformedBytes(`${kind} is no form of a category`, input.position - 1);
  let text = "";
  for (let left = input.varint(); left > 0; left--) text += String.fromCharCode(input.varint());
  return text;
}
