package io.millrace.beam;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import org.apache.beam.sdk.PipelineResult;
import org.apache.beam.sdk.metrics.MetricResult;
import org.apache.beam.sdk.metrics.MetricsFilter;
import org.joda.time.Duration;

/** Tells the launcher, in lines of JSON on standard output, of a job's state and counters. */
final class Progress {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Duration EVERY = Duration.standardSeconds(1);

  private Progress() {}

  static void follow(PipelineResult job) {
    tell(job, "running");
    PipelineResult.State state = null;
    while (state == null || !state.isTerminal()) {
      try {
        state = job.waitUntilFinish(EVERY);
      } catch (UnsupportedOperationException error) {
        state = job.waitUntilFinish();
      }
      if (state == null || !state.isTerminal()) tell(job, "running");
    }
    tell(job, state == PipelineResult.State.DONE ? "done" : state.toString().toLowerCase(java.util.Locale.ROOT));
    if (state == PipelineResult.State.FAILED) System.exit(1);
  }

  private static void tell(PipelineResult job, String state) {
    ObjectNode line = JSON.createObjectNode().put("state", state);
    ObjectNode counters = line.putObject("counters");
    try {
      for (MetricResult<Long> counter : job.metrics().queryMetrics(MetricsFilter.builder().build()).getCounters()) {
        String source = counter.getName().getNamespace();
        ObjectNode own = counters.has(source) ? (ObjectNode) counters.get(source) : counters.putObject(source);
        String name = counter.getName().getName();
        own.put(name, own.path(name).asLong() + counter.getAttempted());
      }
    } catch (UnsupportedOperationException error) {
      // This runner has none to tell while the job runs.
    }
    System.out.println(line);
  }
}
