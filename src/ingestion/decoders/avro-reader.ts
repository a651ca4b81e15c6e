import { Buffer } from "node:buffer";
import { avroRecord } from "./avro-record.ts";
import { avroSchema } from "./avro-schema.ts";
import type { RegisteredSchema } from "./schema-registry.ts";

/** Reads one encoded record. Throws whatever is wrong with it. */
export type AvroRead = (bytes: Uint8Array, start: number) => Readonly<Record<string, unknown>>;

export interface AvroReaders {
  /** Of messages written with a schema; `references` are schemas that it names. @throws `SCHEMA_INVALID` */
  reader(schema: Pick<RegisteredSchema, "text" | "references">): AvroRead;
}

export interface AvroReadersOptions {
  /** What messages are read as, whatever they were written with; null: as they were written. */
  readonly readerSchema: string | null;
  /** Longs as bigints with all digits; else numbers, and a long beyond 2^53 fails. */
  readonly exactLongs: boolean;
}

const utf8Text = (bytes: Uint8Array, start: number, end: number): string =>
  (Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)).toString(
    "utf8",
    start,
    end,
  );

/** @throws `SCHEMA_INVALID` if the reader's schema is none */
export function avroReaders({ readerSchema, exactLongs }: AvroReadersOptions): AvroReaders {
  if (readerSchema !== null) avroSchema([readerSchema], exactLongs);
  return {
    reader: ({ text, references }) =>
      avroRecord(text, {
        references: references.map((reference) => reference.text),
        readerSchema,
        exactLongs,
        utf8Text,
      }),
  };
}
