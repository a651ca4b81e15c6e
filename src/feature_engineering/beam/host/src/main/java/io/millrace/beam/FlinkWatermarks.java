package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.IOException;
import java.lang.reflect.Field;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Pattern;
import org.apache.flink.client.program.ClusterClientProvider;
import org.apache.flink.core.execution.JobClient;
import org.apache.flink.runtime.minicluster.MiniCluster;

/**
 * The watermarks of a job's sources as Flink tells them by HTTP, embedded and of a cluster: of each source that of the
 * operator which is furthest behind.
 */
final class FlinkWatermarks {
  /** Flink itself gathers them every ten seconds. */
  private static final long EVERY_NS = 2_000_000_000L;
  private static final Duration PATIENCE = Duration.ofSeconds(2);
  /** Beyond it are Beam's and Flink's own moments before and behind all others; as in JavaScript, ms. */
  private static final long FARTHEST = 8_640_000_000_000_000L;

  private final HttpClient http = HttpClient.newBuilder().connectTimeout(PATIENCE).build();
  private final JobClient client;
  private final Map<String, Pattern> sources = new HashMap<>();
  private Map<String, Long> known = Map.of();
  private long next = System.nanoTime();

  /** `client`: null where the runner is another. */
  FlinkWatermarks(JobClient client, List<String> names) {
    this.client = client;
    // Steps are named by their source, and operators by their steps.
    for (String name : names) sources.put(name, Pattern.compile("(^|[^A-Za-z0-9_])" + Pattern.quote(name) + " "));
  }

  /** By source, ms; none of a source whose watermark does not move, or is not known yet. */
  Map<String, Long> read() {
    if (client == null || System.nanoTime() < next) return known;
    try {
      String address = addressOf(client);
      if (address != null) known = ask(address + "/jobs/" + client.getJobID());
    } catch (Exception error) {
      // It does not answer now.
    }
    next = System.nanoTime() + EVERY_NS;
    return known;
  }

  private Map<String, Long> ask(String job) throws IOException, InterruptedException {
    Map<String, Long> found = new HashMap<>();
    for (JsonNode vertex : get(job).path("vertices")) {
      String steps = vertex.path("name").asText();
      for (JsonNode subtask : get(job + "/vertices/" + vertex.path("id").asText() + "/watermarks")) {
        long time = subtask.path("value").asLong();
        sources.forEach((name, step) -> {
          if (step.matcher(steps).find()) found.merge(name, time, Math::min);
        });
      }
    }
    found.values().removeIf(time -> time < -FARTHEST || time > FARTHEST);
    return found;
  }

  private JsonNode get(String url) throws IOException, InterruptedException {
    HttpRequest request = HttpRequest.newBuilder(URI.create(url)).timeout(PATIENCE).build();
    return JobFile.parse(http.send(request, HttpResponse.BodyHandlers.ofString()).body());
  }

  /** Clients keep to themselves where they ask. */
  private static String addressOf(JobClient client) throws Exception {
    for (Field field : client.getClass().getDeclaredFields()) {
      field.setAccessible(true);
      Object held = field.get(client);
      if (held instanceof MiniCluster embedded) return embedded.getRestAddress().get().toString();
      if (held instanceof ClusterClientProvider<?> cluster) return cluster.getClusterClient().getWebInterfaceURL();
    }
    return null;
  }
}
