package io.millrace.beam;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.util.ArrayList;
import java.util.List;
import java.util.NoSuchElementException;
import org.apache.beam.sdk.coders.Coder;
import org.apache.beam.sdk.coders.CustomCoder;
import org.apache.beam.sdk.coders.NullableCoder;
import org.apache.beam.sdk.io.UnboundedSource;
import org.apache.beam.sdk.options.PipelineOptions;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.joda.time.Duration;
import org.joda.time.Instant;

/**
 * A source with a part for each worker, be it an empty one. Flink's runner forgets those workers that no part is left for,
 * and the watermark of all then stands still: no window would ever end, and no state be let go.
 */
final class EvenSource<T, M extends UnboundedSource.CheckpointMark> extends UnboundedSource<T, EvenSource.Mark<M>> {
  /** Behind all others, and before the moment that would end the source. */
  private static final Instant NOTHING_COMES = BoundedWindow.TIMESTAMP_MAX_VALUE.minus(Duration.standardDays(2));

  private final UnboundedSource<T, M> source;
  private final boolean empty;

  EvenSource(UnboundedSource<T, M> source) {
    this(source, false);
  }

  private EvenSource(UnboundedSource<T, M> source, boolean empty) {
    this.source = source;
    this.empty = empty;
  }

  @Override
  public List<? extends UnboundedSource<T, Mark<M>>> split(int wanted, PipelineOptions options) throws Exception {
    List<EvenSource<T, M>> parts = new ArrayList<>();
    for (UnboundedSource<T, M> part : source.split(wanted, options)) parts.add(new EvenSource<>(part, false));
    while (parts.size() < wanted) parts.add(new EvenSource<>(source, true));
    return parts;
  }

  @Override
  public UnboundedReader<T> createReader(PipelineOptions options, Mark<M> mark) throws IOException {
    return new Reader(empty ? null : source.createReader(options, mark == null ? null : mark.own));
  }

  @Override
  public Coder<Mark<M>> getCheckpointMarkCoder() {
    return new MarkCoder<>(NullableCoder.of(source.getCheckpointMarkCoder()));
  }

  @Override
  public Coder<T> getOutputCoder() {
    return source.getOutputCoder();
  }

  @Override
  public boolean requiresDeduping() {
    return source.requiresDeduping();
  }

  @Override
  public void validate() {
    source.validate();
  }

  /** Null of an empty part. */
  record Mark<M extends CheckpointMark>(M own) implements CheckpointMark {
    @Override
    public void finalizeCheckpoint() throws IOException {
      if (own != null) own.finalizeCheckpoint();
    }
  }

  private static final class MarkCoder<M extends CheckpointMark> extends CustomCoder<Mark<M>> {
    private final Coder<M> coder;

    MarkCoder(Coder<M> coder) {
      this.coder = coder;
    }

    @Override
    public void encode(Mark<M> mark, OutputStream out) throws IOException {
      coder.encode(mark.own, out);
    }

    @Override
    public Mark<M> decode(InputStream in) throws IOException {
      return new Mark<>(coder.decode(in));
    }
  }

  private final class Reader extends UnboundedReader<T> {
    /** Null of an empty part. */
    private final UnboundedReader<T> reader;

    Reader(UnboundedReader<T> reader) {
      this.reader = reader;
    }

    private UnboundedReader<T> present() {
      if (reader == null) throw new NoSuchElementException("An empty part has no elements.");
      return reader;
    }

    @Override
    public boolean start() throws IOException {
      return reader != null && reader.start();
    }

    @Override
    public boolean advance() throws IOException {
      return reader != null && reader.advance();
    }

    @Override
    public Instant getWatermark() {
      return reader == null ? NOTHING_COMES : reader.getWatermark();
    }

    @Override
    @SuppressWarnings("unchecked")
    public Mark<M> getCheckpointMark() {
      return new Mark<>(reader == null ? null : (M) reader.getCheckpointMark());
    }

    @Override
    public EvenSource<T, M> getCurrentSource() {
      return EvenSource.this;
    }

    @Override
    public T getCurrent() {
      return present().getCurrent();
    }

    @Override
    public Instant getCurrentTimestamp() {
      return present().getCurrentTimestamp();
    }

    @Override
    public byte[] getCurrentRecordId() {
      return present().getCurrentRecordId();
    }

    @Override
    public long getSplitBacklogBytes() {
      return reader == null ? 0 : reader.getSplitBacklogBytes();
    }

    @Override
    public long getTotalBacklogBytes() {
      return reader == null ? 0 : reader.getTotalBacklogBytes();
    }

    @Override
    public void close() throws IOException {
      if (reader != null) reader.close();
    }
  }
}
