package io.millrace.beam;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.lang.reflect.Field;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.beam.sdk.PipelineResult;
import org.apache.beam.sdk.metrics.MetricResult;
import org.apache.beam.sdk.metrics.MetricsFilter;
import org.apache.flink.api.common.JobStatus;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.core.execution.SavepointFormatType;

/**
 * Tells the launcher, in lines of JSON on standard output, of a job's state and counters, and does what lines on standard
 * input ask: `stop FOLDER` ends the job with a savepoint in the folder, `cancel` without one.
 */
final class Progress {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final long EVERY_MS = 500;
  private static final int SAVEPOINT_ATTEMPTS = 40;

  private static final BlockingQueue<String> asked = new LinkedBlockingQueue<>();

  private Progress() {}

  /** To be called before the job runs, which may take until its end. */
  static void listen() {
    Thread reader = new Thread(Progress::read, "launcher");
    reader.setDaemon(true);
    reader.start();
  }

  /** Of a job that reads sources of these names. */
  static void follow(PipelineResult job, List<String> sources) throws Exception {
    String savepoint = null;
    JobClient client = clientOf(job);
    FlinkWatermarks watermarks = new FlinkWatermarks(client, sources);
    // Once a job has ended its cluster may be gone: then the result alone says how.
    CompletableFuture<?> result = client == null ? null : client.getJobExecutionResult();
    PipelineResult.State state = stateOf(job, result);
    boolean cancelled = false;
    while (!state.isTerminal()) {
      tell(job, isRestarting(client) ? "restarting" : "running", null, watermarks);
      String line = asked.poll(EVERY_MS, TimeUnit.MILLISECONDS);
      if (line != null && line.startsWith("stop ")) savepoint = savepoint(client, line.substring(5));
      // What came between the savepoint and the end comes again, and changes nothing.
      if (line != null) {
        cancelled = true;
        job.cancel();
        break;
      }
      state = stateOf(job, result);
    }
    if (cancelled) state = PipelineResult.State.CANCELLED;
    String last = state == PipelineResult.State.DONE ? "done" : state.toString().toLowerCase(Locale.ROOT);
    tell(job, last, savepoint, watermarks);
    if (state == PipelineResult.State.FAILED) explain(result);
    System.out.flush();
    Runtime.getRuntime().halt(state == PipelineResult.State.FAILED ? 1 : 0);
  }

  /** An end of input is the launcher's end: an embedded runner ends with it, a job on a cluster goes on. */
  private static void read() {
    try (BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8))) {
      for (String line; (line = in.readLine()) != null; ) asked.add(line);
    } catch (IOException error) {
      error.printStackTrace();
    }
    Runtime.getRuntime().halt(1);
  }

  /** A runner that was asked to begins again after a failure, as often as it takes. */
  private static boolean isRestarting(JobClient client) {
    if (client == null) return false;
    try {
      JobStatus status = client.getJobStatus().get(EVERY_MS, TimeUnit.MILLISECONDS);
      return status == JobStatus.RESTARTING || status == JobStatus.FAILING;
    } catch (Exception error) {
      // It has ended, or does not answer now.
      return false;
    }
  }

  private static PipelineResult.State stateOf(PipelineResult job, CompletableFuture<?> result) {
    if (result == null) return job.getState();
    if (!result.isDone()) return PipelineResult.State.RUNNING;
    return result.isCompletedExceptionally() ? PipelineResult.State.FAILED : PipelineResult.State.DONE;
  }

  private static String savepoint(JobClient client, String folder) throws Exception {
    if (client == null) throw new IllegalStateException("This runner takes no savepoints: use its own tools.");
    for (int attempt = 1; ; attempt++) {
      try {
        return client.triggerSavepoint(folder, SavepointFormatType.CANONICAL).get();
      } catch (ExecutionException error) {
        // Some tasks may be about to start, or a checkpoint under way.
        if (attempt == SAVEPOINT_ATTEMPTS) throw error;
        Thread.sleep(EVERY_MS);
      }
    }
  }

  private static void explain(CompletableFuture<?> result) {
    if (result == null) return;
    try {
      result.get();
    } catch (Exception error) {
      error.printStackTrace();
    }
  }

  /** Beam keeps it to itself. */
  private static JobClient clientOf(PipelineResult job) throws IllegalAccessException {
    for (Field field : job.getClass().getDeclaredFields()) {
      if (field.getType() != JobClient.class) continue;
      field.setAccessible(true);
      return (JobClient) field.get(job);
    }
    return null;
  }

  private static void tell(PipelineResult job, String state, String savepoint, FlinkWatermarks watermarks) {
    ObjectNode line = JSON.createObjectNode().put("state", state);
    if (savepoint != null) line.put("savepoint", savepoint);
    ObjectNode counters = line.putObject("counters");
    try {
      for (MetricResult<Long> counter : job.metrics().queryMetrics(MetricsFilter.builder().build()).getCounters()) {
        String source = counter.getName().getNamespace();
        ObjectNode own = counters.has(source) ? (ObjectNode) counters.get(source) : counters.putObject(source);
        String name = counter.getName().getName();
        own.put(name, own.path(name).asLong() + counter.getAttempted());
      }
    } catch (RuntimeException error) {
      // This runner has none to tell now.
    }
    if (counters.isEmpty()) {
      Tally.here()
          .forEach(
              (source, own) -> {
                ObjectNode told = counters.putObject(source);
                own.forEach((name, count) -> told.put(name, count.sum()));
              });
    }
    ObjectNode levels = line.putObject("levels");
    Tally.levels().forEach((source, own) -> own.forEach(levels.withObject("/" + source)::put));
    watermarks.read().forEach((source, time) -> levels.withObject("/" + source).put("watermark_ms", time));
    System.out.println(line);
  }
}
