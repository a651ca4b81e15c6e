package io.millrace.beam;

import java.util.List;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.PCollectionView;
import org.apache.beam.sdk.values.TupleTag;

/**
 * A step of fitting that takes keys with their blocks of bytes. `number` goes before them, and with them what is known
 * so far, if the step needs it.
 */
abstract class FitGroupsFn<T> extends FitFn<KV<byte[], T>> {
  /** Bounds what one call takes: so many keys, or so many bytes. */
  private static final int GROUPS = 20_000;
  private static final int BYTES = 8 << 20;

  private final int number;
  private final PCollectionView<Iterable<String>> known;
  private transient FrameWriter frame;
  private transient int groups;
  private transient String text;

  FitGroupsFn(
      JobFile job,
      String function,
      int number,
      PCollectionView<Iterable<String>> known,
      TupleTag<KV<byte[], byte[]>> main,
      TupleTag<String> problems) {
    super(job, function, main, problems);
    this.number = number;
    this.known = known;
  }

  @StartBundle
  public void start() {
    begin();
    text = known == null ? "" : null;
  }

  @FinishBundle
  public void finish(FinishBundleContext context) {
    if (groups > 0) flush(of(context));
  }

  private void begin() {
    frame = new FrameWriter();
    frame.varint(number);
    groups = 0;
  }

  /** Adds a key with its blocks; without them if they are more bytes than the script takes at once. */
  final void add(byte[] key, Iterable<byte[]> blocks, int most, ProcessContext context) {
    if (text == null) text = String.join("\n", context.sideInput(known));
    int start = frame.size();
    long size = 0;
    frame.varint(1);
    frame.bytes(key);
    // To their end: some runners let them be read once only.
    for (byte[] block : blocks) {
      size += block.length;
      if (size > most) continue;
      frame.varint(1);
      frame.bytes(block);
    }
    frame.varint(0);
    if (size > most) {
      frame.truncate(start);
      frame.varint(2);
      frame.bytes(key);
    }
    groups++;
    if (groups >= GROUPS || frame.size() >= BYTES) flush(of(context));
  }

  private void flush(Output output) {
    frame.varint(0);
    byte[] bytes = frame.toBytes();
    begin();
    read(ScriptPool.call(job, function, text, bytes), output);
  }

  /** One block per key. */
  static final class OfOne extends FitGroupsFn<byte[]> {
    OfOne(
        JobFile job,
        String function,
        int number,
        PCollectionView<Iterable<String>> known,
        TupleTag<KV<byte[], byte[]>> main,
        TupleTag<String> problems) {
      super(job, function, number, known, main, problems);
    }

    @ProcessElement
    public void process(@Element KV<byte[], byte[]> element, ProcessContext context) {
      add(element.getKey(), List.of(element.getValue()), Integer.MAX_VALUE, context);
    }
  }

  /** All blocks of a key, up to a number of bytes. */
  static final class OfAll extends FitGroupsFn<Iterable<byte[]>> {
    private final int most;

    OfAll(
        JobFile job, String function, int most, TupleTag<KV<byte[], byte[]>> main, TupleTag<String> problems) {
      super(job, function, 0, null, main, problems);
      this.most = most;
    }

    @ProcessElement
    public void process(@Element KV<byte[], Iterable<byte[]>> group, ProcessContext context) {
      add(group.getKey(), group.getValue(), most, context);
    }
  }
}
