package io.millrace.beam;

import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.TupleTag;

/** A step of fitting that takes messages of one source. */
final class FitMessagesFn extends FitFn<RawMessage> {
  private final int source;
  private transient MessageBuffer buffer;

  FitMessagesFn(
      JobFile job, int source, String function, TupleTag<KV<byte[], byte[]>> main, TupleTag<String> problems) {
    super(job, function, main, problems);
    this.source = source;
  }

  @StartBundle
  public void start() {
    buffer = new MessageBuffer(source);
  }

  @ProcessElement
  public void process(@Element RawMessage message, ProcessContext context) {
    if (buffer.add(message)) flush(of(context));
  }

  @FinishBundle
  public void finish(FinishBundleContext context) {
    if (!buffer.isEmpty()) flush(of(context));
  }

  private void flush(Output output) {
    read(buffer.call(job, function), output);
    buffer.clear();
  }
}
