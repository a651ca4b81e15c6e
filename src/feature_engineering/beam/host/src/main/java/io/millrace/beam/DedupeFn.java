package io.millrace.beam;

import io.millrace.beam.IdentifyFn.Identified;
import java.util.Arrays;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.state.StateSpec;
import org.apache.beam.sdk.state.StateSpecs;
import org.apache.beam.sdk.state.TimeDomain;
import org.apache.beam.sdk.state.Timer;
import org.apache.beam.sdk.state.TimerSpec;
import org.apache.beam.sdk.state.TimerSpecs;
import org.apache.beam.sdk.state.ValueState;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.TupleTag;
import org.joda.time.Instant;

/**
 * Lets the first message of an event pass. Later ones are dropped if their payload is the same, else they are bad. An
 * event is remembered until the watermark is so far behind it that no tile can need it; for ever without a bound.
 */
final class DedupeFn extends DoFn<KV<byte[], Identified>, RawMessage> {
  @StateId("known")
  private final StateSpec<ValueState<byte[]>> known = StateSpecs.value(ByteArrayCoder.of());

  @TimerId("forget")
  private final TimerSpec forget = TimerSpecs.timer(TimeDomain.EVENT_TIME);

  private final JobFile job;
  private final TupleTag<String> history;
  private final long retention;
  private final Tally duplicates;
  private final Tally badMessages;

  /** Retention in ms; negative: for ever. */
  DedupeFn(JobFile job, String name, long retention, TupleTag<String> history) {
    this.job = job;
    this.history = history;
    this.retention = retention;
    duplicates = new Tally(name, "duplicates");
    badMessages = new Tally(name, "dead_letters");
  }

  @ProcessElement
  public void process(
      @Element KV<byte[], Identified> element,
      @StateId("known") ValueState<byte[]> known,
      @TimerId("forget") Timer forget,
      ProcessContext context) {
    Identified one = element.getValue();
    byte[] hash = known.read();
    if (hash == null) {
      known.write(one.hash());
      if (retention >= 0) forget.withNoOutputTimestamp().set(new Instant(one.eventTime() + retention));
      context.output(one.message());
    } else if (Arrays.equals(hash, one.hash())) {
      duplicates.inc();
    } else {
      badMessages.inc();
      if (job.keepsHistory()) context.output(history, conflict(one.message()));
    }
  }

  @OnTimer("forget")
  public void forget(@StateId("known") ValueState<byte[]> known) {
    known.clear();
  }

  static String conflict(RawMessage message) {
    HistoryBatch batch = new HistoryBatch();
    batch.letter(message, "ID_CONFLICT", "An event with this id and event time is known, with another payload.");
    return batch.toJson();
  }
}
