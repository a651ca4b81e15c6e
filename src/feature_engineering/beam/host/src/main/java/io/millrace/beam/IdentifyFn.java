package io.millrace.beam;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.List;
import org.apache.beam.sdk.coders.CustomCoder;
import org.apache.beam.sdk.coders.VarLongCoder;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.windowing.GlobalWindow;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.TupleTag;
import org.joda.time.Duration;
import org.joda.time.Instant;

/** Buffers a bundle's messages and has the script say which event each is. */
final class IdentifyFn extends DoFn<RawMessage, KV<byte[], IdentifyFn.Identified>> {
  /** A message with its payload hash and event time (ms). */
  record Identified(byte[] hash, long eventTime, RawMessage message) {}

  private final JobFile job;
  private final int source;
  private final String name;
  private final TupleTag<KV<byte[], Identified>> identified;
  private final TupleTag<String> history;
  private final Tally badMessages;
  private transient DeadLetterShare share;
  private transient MessageBuffer buffer;

  IdentifyFn(
      JobFile job, int source, String name, TupleTag<KV<byte[], Identified>> identified, TupleTag<String> history) {
    this.job = job;
    this.source = source;
    this.name = name;
    this.identified = identified;
    this.history = history;
    badMessages = new Tally(name, "dead_letters");
  }

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
  public void process(@Element RawMessage message, @Timestamp Instant time, ProcessContext context) {
    if (buffer.add(message)) flush(new Output() {
      @Override
      public <T> void emit(TupleTag<T> tag, T value) {
        context.output(tag, value);
      }
    });
    latest = time;
  }

  private transient Instant latest;

  @FinishBundle
  public void finish(FinishBundleContext context) {
    if (!buffer.isEmpty()) flush(new Output() {
      @Override
      public <T> void emit(TupleTag<T> tag, T value) {
        context.output(tag, value, latest, GlobalWindow.INSTANCE);
      }
    });
  }

  private interface Output {
    <T> void emit(TupleTag<T> tag, T value);
  }

  private void flush(Output output) {
    FrameReader result = new FrameReader(buffer.call(job, "identify"));
    List<RawMessage> messages = buffer.messages();
    HistoryBatch batch = new HistoryBatch();
    for (int i = 0; i < messages.size(); i++) {
      RawMessage message = messages.get(i);
      batch.covers(message);
      int kind = result.u8();
      if (kind == 1) {
        String code = result.string();
        String reason = result.string();
        batch.letter(message, code, reason);
        share.bad(i, reason);
        badMessages.inc();
      } else if (kind == 2) {
        byte[] identity = result.bytes();
        byte[] hash = result.raw(16);
        output.emit(identified, KV.of(identity, new Identified(hash, result.zigzag(), message)));
      }
    }
    share.end(messages.size());
    if (job.keepsHistory()) output.emit(history, batch.toJson());
    buffer.clear();
  }

  static final class Coder extends CustomCoder<Identified> {
    private static final RawMessage.Coder MESSAGE = new RawMessage.Coder();

    @Override
    public void encode(Identified value, OutputStream out) throws IOException {
      out.write(value.hash);
      VarLongCoder.of().encode(value.eventTime, out);
      MESSAGE.encode(value.message, out);
    }

    @Override
    public Identified decode(InputStream in) throws IOException {
      byte[] hash = in.readNBytes(16);
      long eventTime = VarLongCoder.of().decode(in);
      return new Identified(hash, eventTime, MESSAGE.decode(in));
    }
  }
}
