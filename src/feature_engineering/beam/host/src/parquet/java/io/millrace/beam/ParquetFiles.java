package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.time.ZoneOffset;
import java.time.format.DateTimeFormatter;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.UUID;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.io.fs.EmptyMatchTreatment;
import org.apache.beam.sdk.io.fs.MatchResult;
import org.apache.beam.sdk.io.fs.ResourceId;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.GroupByKey;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.windowing.AfterProcessingTime;
import org.apache.beam.sdk.transforms.windowing.GlobalWindows;
import org.apache.beam.sdk.transforms.windowing.Repeatedly;
import org.apache.beam.sdk.transforms.windowing.Window;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollection;
import org.joda.time.Duration;

/** Parquet by DuckDB: the reader and the writer of the embedded engine. */
final class ParquetFiles implements ParquetPart {
  private static final String SETTINGS = "SET memory_limit = '512MiB'; SET TimeZone = 'UTC'";

  @Override
  public FileRecords open(String path, String select) throws IOException {
    return new Rows(path, select);
  }

  private static Connection connect() throws SQLException {
    Properties properties = new Properties();
    properties.setProperty("jdbc_stream_results", "true");
    Connection connection = DriverManager.getConnection("jdbc:duckdb:", properties);
    try (Statement statement = connection.createStatement()) {
      statement.execute(SETTINGS);
    }
    return connection;
  }

  private static String quoted(Path path) {
    return "'" + path.toString().replace("'", "''") + "'";
  }

  private static final class Rows implements FileRecords {
    private final Path copy;
    private Connection connection;
    private ResultSet rows;

    Rows(String path, String select) throws IOException {
      ResourceId resource = FileSystems.matchSingleFileSpec(path).resourceId();
      boolean here = resource.getScheme().equals("file");
      copy = here ? null : copyOf(resource);
      String sql = select.replace("$FILE", quoted(here ? Path.of(path) : copy));
      try {
        connection = connect();
        rows = connection.createStatement().executeQuery("SELECT to_json(r)::VARCHAR FROM (" + sql + ") AS r");
      } catch (SQLException error) {
        close();
        throw new IOException(path + " cannot be read as Parquet: " + error.getMessage(), error);
      }
    }

    private static Path copyOf(ResourceId resource) throws IOException {
      Path copy = Files.createTempFile("millrace-", ".parquet");
      try (InputStream in = Channels.newInputStream(FileSystems.open(resource))) {
        Files.copy(in, copy, java.nio.file.StandardCopyOption.REPLACE_EXISTING);
      }
      return copy;
    }

    @Override
    public byte[] next() throws IOException {
      try {
        return rows.next() ? rows.getString(1).getBytes(StandardCharsets.UTF_8) : null;
      } catch (SQLException error) {
        throw new IOException("A Parquet file cannot be read: " + error.getMessage(), error);
      }
    }

    @Override
    public void close() throws IOException {
      try {
        if (connection != null) connection.close();
      } catch (SQLException error) {
        // It is not used any more.
      }
      if (copy != null) Files.deleteIfExists(copy);
    }
  }

  /**
   * A file has a day's events that came within some minutes; in batch all of them. It is written when a checkpoint has
   * which events these are, and named by them: what is written again, by a job that goes on, is the same file.
   */
  @Override
  public void write(PCollection<String> batches, String name, JsonNode sink, int generation) {
    boolean endless = batches.isBounded() == PCollection.IsBounded.UNBOUNDED;
    PCollection<KV<String, String>> rows = batches.apply(name + " rows", ParDo.of(new RowsFn()));
    if (endless) {
      Duration every = Duration.millis(sink.get("every_ms").asLong());
      rows =
          rows.apply(
              name + " gather",
              Window.<KV<String, String>>into(new GlobalWindows())
                  .triggering(Repeatedly.forever(AfterProcessingTime.pastFirstElementInPane().plusDelayOf(every)))
                  .withAllowedLateness(Duration.ZERO)
                  .discardingFiredPanes());
    }
    String folder = folderOf(sink, name);
    String select = sink.get("select").get(name).asText();
    rows.apply(name + " days", GroupByKey.create())
        .apply(name + " parquet", ParDo.of(endless ? new StableFn(folder, select, generation) : new WriteFn(folder, select, generation)));
  }

  private static String folderOf(JsonNode sink, String name) {
    return sink.get("folder").asText() + "/" + name + "/";
  }

  @Override
  public int setAside(String name, JsonNode sink, int generation) throws IOException {
    String folder = folderOf(sink, name);
    List<ResourceId> from = new ArrayList<>();
    List<ResourceId> to = new ArrayList<>();
    String run = DateTimeFormatter.ofPattern("yyyyMMdd'T'HHmmss'Z'").withZone(ZoneOffset.UTC).format(Instant.now());
    MatchResult found = FileSystems.match(folder + "day=*/g" + generation + "-*.parquet", EmptyMatchTreatment.ALLOW);
    for (MatchResult.Metadata file : found.metadata()) {
      ResourceId here = file.resourceId();
      from.add(here);
      String day = here.getCurrentDirectory().toString().replaceAll(".*/(?=day=[^/]*/$)", "");
      to.add(FileSystems.matchNewResource(folder + "_replaced/" + run + "/" + day + here.getFilename(), false));
    }
    FileSystems.rename(from, to);
    return from.size();
  }

  private static final class RowsFn extends DoFn<String, KV<String, String>> {
    @ProcessElement
    public void process(@Element String batch, OutputReceiver<KV<String, String>> out) {
      for (JsonNode row : JobFile.parse(batch).get("rows")) {
        String day = Instant.ofEpochMilli(row.get("t").asLong()).toString().split("T")[0];
        out.output(KV.of(day, row.toString()));
      }
    }
  }

  /** Gathers a day's rows as lines of JSON, of which the file is made at their end. */
  private static class WriteFn extends DoFn<KV<String, Iterable<String>>, Void> {
    private final String folder;
    private final String select;
    private final int generation;

    WriteFn(String folder, String select, int generation) {
      this.folder = folder;
      this.select = select;
      this.generation = generation;
    }

    @ProcessElement
    public void process(@Element KV<String, Iterable<String>> day) throws IOException {
      write(day.getKey(), day.getValue());
    }

    final void write(String day, Iterable<String> rows) throws IOException {
      Path lines = Files.createTempFile("millrace-", ".jsonl");
      Path made = Files.createTempFile("millrace-", ".parquet");
      try {
        String file = "day=" + day + "/g" + generation + "-" + gather(rows, lines) + ".parquet";
        String sql = select.replace("$FILE", quoted(lines));
        try (Connection connection = connect(); Statement statement = connection.createStatement()) {
          statement.execute("COPY (" + sql + ") TO " + quoted(made) + " (FORMAT parquet, COMPRESSION zstd)");
        } catch (SQLException error) {
          throw new IOException("A Parquet file cannot be written: " + error.getMessage(), error);
        }
        // Readers never see half a file.
        ResourceId unfinished = FileSystems.matchNewResource(folder + "_unfinished/" + UUID.randomUUID(), false);
        try (OutputStream out = Channels.newOutputStream(FileSystems.create(unfinished, "application/octet-stream"))) {
          Files.copy(made, out);
        }
        FileSystems.rename(List.of(unfinished), List.of(FileSystems.matchNewResource(folder + file, false)));
      } finally {
        Files.deleteIfExists(made);
        Files.deleteIfExists(lines);
      }
    }

    /** Returns a name for these rows, in whatever order they come. */
    private static String gather(Iterable<String> rows, Path lines) throws IOException {
      long[] name = new long[2];
      try (BufferedWriter writer = Files.newBufferedWriter(lines)) {
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (String row : rows) {
          writer.write(row);
          writer.newLine();
          ByteBuffer hash = ByteBuffer.wrap(digest.digest(row.getBytes(StandardCharsets.UTF_8)));
          for (int i = 0; i < name.length; i++) name[i] += hash.getLong();
        }
      } catch (NoSuchAlgorithmException error) {
        throw new IllegalStateException("Java has no SHA-256.", error);
      }
      return String.format("%016x%016x", name[0], name[1]);
    }
  }

  private static final class StableFn extends WriteFn {
    StableFn(String folder, String select, int generation) {
      super(folder, select, generation);
    }

    @Override
    @RequiresStableInput
    @ProcessElement
    public void process(@Element KV<String, Iterable<String>> day) throws IOException {
      super.process(day);
    }
  }
}
