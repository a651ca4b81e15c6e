import type { EntityReading } from "../feature_store/cached-reader.ts";

/** Callers choose what they ask for: a reading does not keep the texts of all that was ever asked. */
const MAX_MADE = 4;

/** What `make` made of the reading, kept with it: most numbers of a hot entity are written once and sent many times. */
export function madeTexts(
  reading: EntityReading,
  maker: object,
  make: (reading: EntityReading) => readonly string[],
): readonly string[] {
  const known = reading.made.get(maker);
  if (known !== undefined) return known;
  const texts = make(reading);
  if (reading.made.size >= MAX_MADE) reading.made.clear();
  reading.made.set(maker, texts);
  return texts;
}
