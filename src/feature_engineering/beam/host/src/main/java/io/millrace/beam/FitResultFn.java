package io.millrace.beam;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.channels.Channels;
import java.nio.charset.StandardCharsets;
import org.apache.beam.sdk.io.FileSystems;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.values.KV;

/** Writes all lines to a file, which the launcher reads. */
final class FitResultFn extends DoFn<KV<Integer, Iterable<String>>, Void> {
  private final String file;

  FitResultFn(String file) {
    this.file = file;
  }

  @ProcessElement
  public void process(@Element KV<Integer, Iterable<String>> lines) throws IOException {
    try (OutputStream out =
        Channels.newOutputStream(FileSystems.create(FileSystems.matchNewResource(file, false), "application/jsonl"))) {
      for (String line : lines.getValue()) out.write((line + "\n").getBytes(StandardCharsets.UTF_8));
    }
  }
}
