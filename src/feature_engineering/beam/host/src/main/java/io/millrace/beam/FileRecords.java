package io.millrace.beam;

import java.io.Closeable;
import java.io.IOException;

/** A file's records, one after the other. */
interface FileRecords extends Closeable {
  /** Null at the end. */
  byte[] next() throws IOException;

  /** Why the last one is no record; null if it may be one. */
  default String failure() {
    return null;
  }

  @Override
  void close() throws IOException;
}
