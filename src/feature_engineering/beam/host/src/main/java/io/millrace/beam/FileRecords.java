package io.millrace.beam;

import java.io.Closeable;
import java.io.IOException;

/** A file's records, one after the other. */
interface FileRecords extends Closeable {
  /** Null at the end. */
  byte[] next() throws IOException;

  @Override
  void close() throws IOException;
}
