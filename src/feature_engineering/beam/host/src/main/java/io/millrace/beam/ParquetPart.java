package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import org.apache.beam.sdk.values.PCollection;

/** What the optional part for Parquet does, by SQL that the launcher makes. */
interface ParquetPart {
  /** A file's rows as JSON, in the file's order; `select` is SQL in which `$FILE` stands for it. */
  FileRecords open(String path, String select) throws IOException;

  /** Writes the rows of history's batches to files by day, beside a name's other files in the folder. */
  void write(PCollection<String> batches, String name, JsonNode sink, int generation);

  /**
   * Moves the files that a former run of a generation wrote to `_replaced` in the same folder, since its events come
   * again; returns how many.
   */
  int setAside(String name, JsonNode sink, int generation) throws IOException;

  static ParquetPart find() {
    try {
      Class<?> found = Class.forName("io.millrace.beam.ParquetFiles");
      return (ParquetPart) found.getDeclaredConstructor().newInstance();
    } catch (ReflectiveOperationException | NoClassDefFoundError error) {
      throw new IllegalStateException("The host was built without its part for Parquet: build it with -Pparquet", error);
    }
  }
}
