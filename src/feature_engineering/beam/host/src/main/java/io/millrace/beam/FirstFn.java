package io.millrace.beam;

import io.millrace.beam.IdentifyFn.Identified;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.beam.sdk.transforms.DoFn;
import org.apache.beam.sdk.values.KV;
import org.apache.beam.sdk.values.TupleTag;

/** The same as {@link DedupeFn} in batch, where all messages of an event are there: the first by position passes. */
final class FirstFn extends DoFn<KV<byte[], Iterable<Identified>>, RawMessage> {
  private final JobFile job;
  private final TupleTag<String> history;
  private final Tally duplicates;
  private final Tally badMessages;

  FirstFn(JobFile job, String name, TupleTag<String> history) {
    this.job = job;
    this.history = history;
    duplicates = new Tally(name, "duplicates");
    badMessages = new Tally(name, "dead_letters");
  }

  @ProcessElement
  public void process(@Element KV<byte[], Iterable<Identified>> event, ProcessContext context) {
    Identified first = null;
    // Some runners let them be read once only.
    List<Identified> all = new ArrayList<>();
    for (Identified one : event.getValue()) {
      all.add(one);
      if (first == null || isBefore(one.message(), first.message())) first = one;
    }
    for (Identified one : all) {
      if (isSame(one.message(), first.message())) context.output(one.message());
      else if (Arrays.equals(one.hash(), first.hash())) duplicates.inc();
      else {
        badMessages.inc();
        if (job.keepsHistory()) context.output(history, DedupeFn.conflict(one.message()));
      }
    }
  }

  private static boolean isBefore(RawMessage a, RawMessage b) {
    int order = a.partition().compareTo(b.partition());
    return order < 0 || order == 0 && a.offset() < b.offset();
  }

  private static boolean isSame(RawMessage a, RawMessage b) {
    return a.offset() == b.offset() && a.partition().equals(b.partition());
  }
}
