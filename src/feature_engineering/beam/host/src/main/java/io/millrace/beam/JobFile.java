package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.Serializable;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.zip.GZIPInputStream;
import java.util.zip.GZIPOutputStream;

/** What the launcher says of a job: the plan, the script and the workers' settings as texts, the rest as JSON. */
final class JobFile implements Serializable {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, JobFile> KNOWN = new ConcurrentHashMap<>();

  final transient String id;
  final transient String engine;
  final transient String script;
  final transient String plan;
  final transient String settings;
  private final transient JsonNode job;
  private final transient Packed packed;

  private JobFile(byte[] json, Packed known) throws IOException {
    job = JSON.readTree(json);
    id = job.get("id").asText();
    engine = job.get("engine").asText();
    script = job.get("script").asText();
    plan = job.get("plan").asText();
    settings = job.get("settings").toString();
    packed = known == null ? new Packed(id, compressed(json)) : known;
    KNOWN.put(id, this);
  }

  static JobFile read(Path path) throws IOException {
    return new JobFile(Files.readAllBytes(path), null);
  }

  int generation() {
    return get("settings").get("generation").asInt();
  }

  boolean keepsHistory() {
    return get("history").isObject();
  }

  /** Of its sources. */
  List<String> names() {
    List<String> names = new ArrayList<>();
    for (JsonNode source : get("settings").get("sources")) names.add(source.get("name").asText());
    return names;
  }

  JsonNode get(String name) {
    return job.path(name);
  }

  static JsonNode parse(String json) {
    try {
      return JSON.readTree(json);
    } catch (IOException error) {
      throw new IllegalStateException("Not JSON: " + error.getMessage(), error);
    }
  }

  private static byte[] compressed(byte[] json) throws IOException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (OutputStream out = new GZIPOutputStream(bytes)) {
      out.write(json);
    }
    return bytes.toByteArray();
  }

  private Object writeReplace() {
    return packed;
  }

  /** What travels: every step has a job file, and Beam and Flink copy steps many times. */
  private record Packed(String id, byte[] json) implements Serializable {
    private Object readResolve() {
      JobFile known = KNOWN.get(id);
      if (known != null) return known;
      try (GZIPInputStream in = new GZIPInputStream(new ByteArrayInputStream(json))) {
        return new JobFile(in.readAllBytes(), this);
      } catch (IOException error) {
        throw new UncheckedIOException(error);
      }
    }
  }
}
