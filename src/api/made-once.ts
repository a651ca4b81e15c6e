import type { EntityReading } from "../feature_store/cached-reader.ts";

/** Callers choose what they ask for: a reading does not keep the texts of all that was ever asked. */
const MAX_MADE = 4;

/** What `make` made of the reading, kept with it: most numbers of a hot entity are written once and sent many times. */
export function madeOnce<Made>(reading: EntityReading, make: (reading: EntityReading) => Made): Made {
  const known = reading.made.get(make) as Made | undefined;
  if (known !== undefined) return known;
  const made = make(reading);
  if (reading.made.size >= MAX_MADE) reading.made.clear();
  reading.made.set(make, made);
  return made;
}
