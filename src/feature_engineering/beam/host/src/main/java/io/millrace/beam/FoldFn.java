package io.millrace.beam;

import java.util.List;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.transforms.windowing.GlobalWindow;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.TupleTag;
import org.joda.time.Duration;
import org.joda.time.Instant;

/**
 * Buffers a bundle's messages and has the script fold them: partial tiles by branch, and what history keeps. Without
 * branches the script keeps what it folded, as long as there is room, to the end of the bundle, and the main output has
 * the tiles of each entity, see {@link JoinFn}.
 */
final class FoldFn extends DoFn<RawMessage, KV<byte[], byte[]>> {
  // How the script is to hand on what it folded: see its `HandOn`.
  private static final int TILES = 0;
  private static final int LATER = 1;
  private static final int ENTITIES = 2;
  private final JobFile job;
  private final int source;
  private final String name;
  private final TupleTag<KV<byte[], byte[]>> main;
  private final List<TupleTag<KV<byte[], byte[]>>> branches;
  private final TupleTag<String> history;
  private final Tally events;
  private final Tally others;
  private final Tally badMessages;
  private final Tally nullKeys;
  private final Tally failures;
  private transient DeadLetterShare share;
  private transient MessageBuffer buffer;
  /** Has what it keeps of this bundle. */
  private transient WorkerScript script;

  FoldFn(
      JobFile job,
      int source,
      String name,
      TupleTag<KV<byte[], byte[]>> main,
      List<TupleTag<KV<byte[], byte[]>>> branches,
      TupleTag<String> history) {
    this.job = job;
    this.source = source;
    this.name = name;
    this.main = main;
    this.branches = branches;
    this.history = history;
    events = new Tally(name, "events");
    others = new Tally(name, "other_generation");
    badMessages = new Tally(name, "dead_letters");
    nullKeys = new Tally(name, "null_keys");
    failures = new Tally(name, "function_failures");
  }

  /** Tiles start before their events. */
  @Override
  @SuppressWarnings("deprecation")
  public Duration getAllowedTimestampSkew() {
    return Duration.millis(Long.MAX_VALUE);
  }

  @StartBundle
  public void start() {
    buffer = new MessageBuffer(source);
    if (share == null) share = new DeadLetterShare(job, source, name);
  }

  @ProcessElement
  public void process(@Element RawMessage message, ProcessContext context) {
    if (buffer.add(message)) flush(branches.isEmpty() ? LATER : TILES, new Output() {
      @Override
      public <T> void emit(TupleTag<T> tag, T value, Instant time) {
        context.outputWithTimestamp(tag, value, time);
      }
    });
  }

  @FinishBundle
  public void finish(FinishBundleContext context) {
    if (buffer.isEmpty() && script == null) return;
    flush(branches.isEmpty() ? ENTITIES : TILES, new Output() {
      @Override
      public <T> void emit(TupleTag<T> tag, T value, Instant time) {
        context.output(tag, value, time, GlobalWindow.INSTANCE);
      }
    });
    ScriptPool.give(job, script);
    script = null;
  }

  /** After a bundle that failed. */
  @Teardown
  public void close() {
    if (script != null) script.close();
    script = null;
  }

  private interface Output {
    <T> void emit(TupleTag<T> tag, T value, Instant time);
  }

  private void flush(int how, Output output) {
    if (script == null) script = ScriptPool.take(job);
    FrameReader result = new FrameReader(buffer.call(job, script, "fold", how));
    while (result.u8() == 1) {
      if (how == TILES) {
        TupleTag<KV<byte[], byte[]>> branch = branches.get((int) result.varint());
        byte[] key = result.bytes();
        Instant start = instant(result.zigzag());
        output.emit(branch, KV.of(key, result.bytes()), start);
      } else {
        byte[] key = result.bytes();
        output.emit(main, KV.of(key, result.bytes()), Instant.EPOCH);
      }
    }
    List<RawMessage> messages = buffer.messages();
    HistoryBatch batch = new HistoryBatch();
    if (job.keepsHistory()) for (RawMessage message : messages) batch.covers(message);
    int bad = (int) result.varint();
    for (int i = 0; i < bad; i++) {
      int index = (int) result.varint();
      String code = result.string();
      String reason = result.string();
      batch.letter(messages.get(index), code, reason);
      share.bad(index, reason);
    }
    share.end(messages.size());
    batch.rows(result.string());
    if (job.keepsHistory() && !messages.isEmpty()) output.emit(history, batch.toJson(), Instant.EPOCH);
    events.inc(result.varint());
    others.inc(result.varint());
    badMessages.inc(bad);
    nullKeys.inc(result.varint());
    failures.inc(result.varint());
    buffer.clear();
  }

  private static Instant instant(long time) {
    return new Instant(
        Math.max(BoundedWindow.TIMESTAMP_MIN_VALUE.getMillis(), Math.min(GlobalWindow.INSTANCE.maxTimestamp().getMillis(), time)));
  }
}
