package io.millrace.beam;

import java.util.HashMap;
import java.util.Map;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.transforms.windowing.GlobalWindow;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.TupleTag;
import org.joda.time.Instant;

/** A step of fitting: gathers elements for a call into the script, and gives the elements and problems that come back. */
abstract class FitFn<T> extends DoFn<T, KV<byte[], byte[]>> {
  final JobFile job;
  final String function;
  private final TupleTag<KV<byte[], byte[]>> main;
  private final TupleTag<String> problems;
  private transient Map<String, Tally> tallies;

  FitFn(JobFile job, String function, TupleTag<KV<byte[], byte[]>> main, TupleTag<String> problems) {
    this.job = job;
    this.function = function;
    this.main = main;
    this.problems = problems;
  }

  interface Output {
    <X> void emit(TupleTag<X> tag, X value);
  }

  final Output of(ProcessContext context) {
    return new Output() {
      @Override
      public <X> void emit(TupleTag<X> tag, X value) {
        context.output(tag, value);
      }
    };
  }

  final Output of(FinishBundleContext context) {
    return new Output() {
      @Override
      public <X> void emit(TupleTag<X> tag, X value) {
        context.output(tag, value, Instant.EPOCH, GlobalWindow.INSTANCE);
      }
    };
  }

  final void read(byte[] said, Output output) {
    FrameReader result = new FrameReader(said);
    for (int kind; (kind = result.u8()) != 0; ) {
      if (kind == 1) output.emit(main, KV.of(result.bytes(), result.bytes()));
      else if (kind == 2) output.emit(problems, result.string());
      else tally(result.string(), result.string()).inc(result.varint());
    }
  }

  private Tally tally(String source, String name) {
    if (tallies == null) tallies = new HashMap<>();
    return tallies.computeIfAbsent(source + " " + name, any -> new Tally(source, name));
  }
}
