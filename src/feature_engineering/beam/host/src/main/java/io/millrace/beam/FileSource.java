package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.NoSuchElementException;
import java.util.zip.GZIPInputStream;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.coders.StringUtf8Coder;
import org.apache.beam.sdk.io.BoundedSource;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.io.Read;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.values.PCollection;

/** Reads files of any of Beam's file systems, line by line or by CSV records, plain or gzip, or as Parquet. A file is one partition. */
final class FileSource implements StreamSource {
  @Override
  public PCollection<RawMessage> read(Pipeline pipeline, String name, JsonNode source) {
    List<String> files = new ArrayList<>();
    for (JsonNode file : source.get("files")) files.add(file.toString());
    return pipeline
        .apply(name + " files", Read.from(new Files(files)))
        .apply(name + " records", ParDo.of(new ReadFn()))
        .setCoder(new RawMessage.Coder());
  }

  /** Descriptions of files, one by one: each for the worker that is free next. */
  private static final class Files extends BoundedSource<String> {
    private final List<String> files;

    Files(List<String> files) {
      this.files = files;
    }

    @Override
    public List<Files> split(long desiredBytes, PipelineOptions options) {
      return files.stream().map(file -> new Files(List.of(file))).toList();
    }

    @Override
    public long getEstimatedSizeBytes(PipelineOptions options) {
      return files.size();
    }

    @Override
    public BoundedReader<String> createReader(PipelineOptions options) {
      return new FilesReader(this);
    }

    @Override
    public Coder<String> getOutputCoder() {
      return StringUtf8Coder.of();
    }
  }

  private static final class FilesReader extends BoundedSource.BoundedReader<String> {
    private final Files source;
    private int next = 0;

    FilesReader(Files source) {
      this.source = source;
    }

    @Override
    public boolean start() {
      return advance();
    }

    @Override
    public boolean advance() {
      return next++ < source.files.size();
    }

    @Override
    public String getCurrent() {
      if (next == 0 || next > source.files.size()) throw new NoSuchElementException();
      return source.files.get(next - 1);
    }

    @Override
    public Files getCurrentSource() {
      return source;
    }

    @Override
    public void close() {}
  }

  /** Not a source of Beam's, of which Flink's runner tells the metrics anew with each record. */
  private static final class ReadFn extends DoFn<String, RawMessage> {
    @ProcessElement
    public void process(@Element String description, OutputReceiver<RawMessage> out) throws IOException {
      JsonNode file = JobFile.parse(description);
      String partition = file.get("partition").asText();
      String format = file.get("format").asText();
      try (FileRecords records = open(file, format)) {
        String header = "";
        if (format.equals("csv")) {
          byte[] first = records.next();
          if (first == null) return;
          header = new String(first, StandardCharsets.UTF_8);
        }
        byte[] record;
        for (long offset = 0; (record = records.next()) != null; ) {
          out.output(new RawMessage(partition, header, offset++, -1, Map.of(), record, records.failure()));
        }
      } catch (IOException error) {
        throw new IOException("The file " + file.get("path").asText() + " cannot be read: " + error.getMessage(), error);
      }
    }

    private static FileRecords open(JsonNode file, String format) throws IOException {
      String path = file.get("path").asText();
      if (format.equals("parquet")) return ParquetPart.find().open(path, file.get("select").asText());
      return new TextRecords(open(path), format.equals("csv"));
    }

    private static InputStream open(String path) throws IOException {
      InputStream in =
          new BufferedInputStream(
              Channels.newInputStream(FileSystems.open(FileSystems.matchSingleFileSpec(path).resourceId())), 1 << 16);
      in.mark(2);
      boolean gzip = in.read() == 0x1f && in.read() == 0x8b;
      in.reset();
      return gzip ? new BufferedInputStream(new GZIPInputStream(in, 1 << 16), 1 << 16) : in;
    }
  }
}
