package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.zip.GZIPInputStream;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.io.BoundedSource;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.io.Read;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.values.PCollection;

/** Reads files of any of Beam's file systems, line by line or by CSV records, plain or gzip, or as Parquet. A file is one partition. */
final class FileSource implements StreamSource {
  @Override
  public PCollection<RawMessage> read(Pipeline pipeline, String name, JsonNode source) {
    List<String> files = new ArrayList<>();
    for (JsonNode file : source.get("files")) files.add(file.toString());
    return pipeline.apply(name + " records", Read.from(new Files(files))).setCoder(new RawMessage.Coder());
  }

  /** Files that are read one by one, each by the worker that is free next. */
  private static final class Files extends BoundedSource<RawMessage> {
    /** A description of each. */
    private final List<String> files;

    Files(List<String> files) {
      this.files = files;
    }

    @Override
    public List<Files> split(long desiredBytes, PipelineOptions options) {
      return files.stream().map(file -> new Files(List.of(file))).toList();
    }

    @Override
    public long getEstimatedSizeBytes(PipelineOptions options) throws IOException {
      long size = 0;
      for (String file : files) {
        size += FileSystems.matchSingleFileSpec(JobFile.parse(file).get("path").asText()).sizeBytes();
      }
      return size;
    }

    @Override
    public BoundedReader<RawMessage> createReader(PipelineOptions options) {
      return new FilesReader(this);
    }

    @Override
    public Coder<RawMessage> getOutputCoder() {
      return new RawMessage.Coder();
    }
  }

  private static final class FilesReader extends BoundedSource.BoundedReader<RawMessage> {
    private final Files source;
    private final Iterator<String> files;
    private FileRecords records;
    private String partition;
    private String header;
    private long offset;
    private RawMessage current;

    FilesReader(Files source) {
      this.source = source;
      files = source.files.iterator();
    }

    @Override
    public boolean start() throws IOException {
      return advance();
    }

    @Override
    public boolean advance() throws IOException {
      while (records != null || files.hasNext()) {
        if (records == null && !begin(JobFile.parse(files.next()))) continue;
        byte[] record = records.next();
        if (record == null) {
          close();
        } else if (!isBlank(record)) {
          current = new RawMessage(partition, header, offset++, -1, record);
          return true;
        }
      }
      current = null;
      return false;
    }

    /** False if a file is empty that must have a header. */
    private boolean begin(JsonNode file) throws IOException {
      String format = file.get("format").asText();
      records = open(file, format);
      partition = file.get("partition").asText();
      offset = 0;
      header = "";
      if (!format.equals("csv")) return true;
      byte[] first = records.next();
      if (first == null) close();
      else header = text(first);
      return first != null;
    }

    @Override
    public RawMessage getCurrent() {
      if (current == null) throw new NoSuchElementException();
      return current;
    }

    @Override
    public Files getCurrentSource() {
      return source;
    }

    @Override
    public void close() throws IOException {
      if (records != null) records.close();
      records = null;
    }

    private static boolean isBlank(byte[] record) {
      return (record.length == 0 || record[0] <= ' ') && new String(record, StandardCharsets.UTF_8).isBlank();
    }

    private static FileRecords open(JsonNode file, String format) throws IOException {
      String path = file.get("path").asText();
      if (format.equals("parquet")) return ParquetPart.find().open(path, file.get("select").asText());
      return new Records(open(path), format.equals("csv"));
    }

    private static String text(byte[] bytes) {
      String text = new String(bytes, StandardCharsets.UTF_8);
      return text.startsWith("\ufeff") ? text.substring(1) : text;
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

  /** Splits at line ends; of CSV not at those within quotes. */
  private static final class Records implements FileRecords {
    private final InputStream in;
    private final boolean csv;
    private byte[] block = new byte[1 << 16];
    private int at = 0;
    private int end = 0;

    Records(InputStream in, boolean csv) {
      this.in = in;
      this.csv = csv;
    }

    @Override
    public void close() throws IOException {
      in.close();
    }

    @Override
    public byte[] next() throws IOException {
      boolean quoted = false;
      int start = at;
      for (int look = at; ; look++) {
        if (look == end) {
          int kept = end - start;
          if (!fill(start)) return kept == 0 ? null : record(0, kept);
          look = kept;
          start = 0;
        }
        byte read = block[look];
        if (read == '\n' && !quoted) {
          at = look + 1;
          return record(start, look);
        }
        if (csv && read == '"') quoted = !quoted;
      }
    }

    /** Moves what is left from a place on to the front and reads more behind it. */
    private boolean fill(int from) throws IOException {
      int kept = end - from;
      byte[] into = kept > block.length / 2 ? new byte[block.length * 2] : block;
      System.arraycopy(block, from, into, 0, kept);
      block = into;
      at = 0;
      int read = in.read(block, kept, block.length - kept);
      end = kept + Math.max(0, read);
      if (read <= 0) at = end;
      return read > 0;
    }

    private byte[] record(int from, int to) {
      return Arrays.copyOfRange(block, from, to > from && block[to - 1] == '\r' ? to - 1 : to);
    }
  }
}
