package io.millrace.beam;

import java.util.ArrayList;
import java.util.List;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.coders.CoderRegistry;
import org.apache.beam.sdk.transforms.Combine.CombineFn;

/** Puts partials one behind the other; the script makes one of them where they grow long. */
final class ConcatenateFn extends CombineFn<byte[], byte[], byte[]> {
  /** Bytes from which partials are made one. */
  private static final int LONG = 16 << 10;
  private final JobFile job;
  private final String compact;

  ConcatenateFn(JobFile job) {
    this(job, "compact");
  }

  /** With the script's function that makes one partial of several. */
  ConcatenateFn(JobFile job, String compact) {
    this.job = job;
    this.compact = compact;
  }

  @Override
  public byte[] createAccumulator() {
    return new byte[0];
  }

  @Override
  public byte[] addInput(byte[] partials, byte[] more) {
    if (partials.length == 0) return more;
    byte[] joined = new byte[partials.length + more.length];
    System.arraycopy(partials, 0, joined, 0, partials.length);
    System.arraycopy(more, 0, joined, partials.length, more.length);
    // What is long as one partial is not made shorter each time.
    return partials.length < LONG && joined.length >= LONG || joined.length >= 2 * partials.length && joined.length > LONG
        ? shorten(joined)
        : joined;
  }

  @Override
  public byte[] mergeAccumulators(Iterable<byte[]> all) {
    List<byte[]> parts = new ArrayList<>();
    int length = 0;
    for (byte[] part : all) {
      parts.add(part);
      length += part.length;
    }
    if (parts.size() == 1) return parts.get(0);
    byte[] joined = new byte[length];
    int at = 0;
    for (byte[] part : parts) {
      System.arraycopy(part, 0, joined, at, part.length);
      at += part.length;
    }
    return joined.length < LONG ? joined : shorten(joined);
  }

  @Override
  public byte[] extractOutput(byte[] partials) {
    return partials;
  }

  private byte[] shorten(byte[] partials) {
    return ScriptPool.call(job, compact, "", partials);
  }

  @Override
  public Coder<byte[]> getAccumulatorCoder(CoderRegistry registry, Coder<byte[]> input) {
    return ByteArrayCoder.of();
  }

  @Override
  public Coder<byte[]> getDefaultOutputCoder(CoderRegistry registry, Coder<byte[]> input) {
    return ByteArrayCoder.of();
  }
}
