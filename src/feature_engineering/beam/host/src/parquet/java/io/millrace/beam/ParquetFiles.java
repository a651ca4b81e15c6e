package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedWriter;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.channels.WritableByteChannel;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.time.Instant;
import java.util.Properties;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.io.FileIO;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.io.fs.ResourceId;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.transforms.windowing.AfterProcessingTime;
import org.apache.beam.sdk.transforms.windowing.GlobalWindows;
import org.apache.beam.sdk.transforms.windowing.Repeatedly;
import org.apache.beam.sdk.transforms.windowing.Window;
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
   * A file has a day's events that came within some minutes; in batch all of them. Its name is the same when a job goes
   * on from a checkpoint, so that what was written behind it is written over.
   */
  @Override
  public void write(PCollection<String> batches, String name, JsonNode sink, int generation) {
    String folder = sink.get("folder").asText() + "/" + name + "/";
    boolean endless = batches.isBounded() == PCollection.IsBounded.UNBOUNDED;
    PCollection<String> rows = batches.apply(name + " rows", ParDo.of(new RowsFn()));
    if (endless) {
      Duration every = Duration.millis(sink.get("every_ms").asLong());
      rows =
          rows.apply(
              name + " gather",
              Window.<String>into(new GlobalWindows())
                  .triggering(Repeatedly.forever(AfterProcessingTime.pastFirstElementInPane().plusDelayOf(every)))
                  .withAllowedLateness(Duration.ZERO)
                  .discardingFiredPanes());
    }
    rows.apply(
        name + " parquet",
        FileIO.<String, String>writeDynamic()
            .by(ParquetFiles::dayOf)
            .withDestinationCoder(StringUtf8Coder.of())
            .via(new Sink(sink.get("select").get(name).asText()))
            .to(folder)
            .withNumShards(1)
            .withNaming(day -> (window, pane, shards, shard, compression) -> "day=" + day + "/g" + generation + "-" + pane.getIndex() + ".parquet"));
  }

  private static String dayOf(String row) {
    long time = JobFile.parse(row).get("t").asLong();
    return Instant.ofEpochMilli(time).toString().split("T")[0];
  }

  private static final class RowsFn extends DoFn<String, String> {
    @ProcessElement
    public void process(@Element String batch, OutputReceiver<String> out) {
      for (JsonNode row : JobFile.parse(batch).get("rows")) out.output(row.toString());
    }
  }

  /** Gathers rows as lines of JSON, of which the file is made at its end. */
  private static final class Sink implements FileIO.Sink<String> {
    private final String select;
    private transient Path lines;
    private transient BufferedWriter writer;
    private transient OutputStream out;

    Sink(String select) {
      this.select = select;
    }

    @Override
    public void open(WritableByteChannel channel) throws IOException {
      out = Channels.newOutputStream(channel);
      lines = Files.createTempFile("millrace-", ".jsonl");
      writer = Files.newBufferedWriter(lines);
    }

    @Override
    public void write(String row) throws IOException {
      writer.write(row);
      writer.newLine();
    }

    @Override
    public void flush() throws IOException {
      writer.close();
      Path made = Files.createTempFile("millrace-", ".parquet");
      String sql = select.replace("$FILE", quoted(lines));
      try (Connection connection = connect(); Statement statement = connection.createStatement()) {
        statement.execute("COPY (" + sql + ") TO " + quoted(made) + " (FORMAT parquet, COMPRESSION zstd)");
        Files.copy(made, out);
      } catch (SQLException error) {
        throw new IOException("A Parquet file cannot be written: " + error.getMessage(), error);
      } finally {
        Files.deleteIfExists(made);
        Files.deleteIfExists(lines);
      }
      out.flush();
    }
  }
}
