package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.Serializable;
import java.nio.file.Files;
import java.nio.file.Path;

/** What the launcher says of a job: the plan, the script and the workers' settings as texts, the rest as JSON. */
final class JobFile implements Serializable {
  private static final ObjectMapper JSON = new ObjectMapper();

  final String id;
  final String engine;
  final String script;
  final String plan;
  final String settings;
  private final String rest;
  private transient JsonNode parsed;

  private JobFile(JsonNode job) {
    id = job.get("id").asText();
    engine = job.get("engine").asText();
    script = job.get("script").asText();
    plan = job.get("plan").asText();
    settings = job.get("settings").toString();
    rest = job.toString();
  }

  static JobFile read(Path path) throws IOException {
    return new JobFile(JSON.readTree(Files.readString(path)));
  }

  int generation() {
    return get("settings").get("generation").asInt();
  }

  boolean keepsHistory() {
    return get("history").isObject();
  }

  JsonNode get(String name) {
    if (parsed == null) parsed = parse(rest);
    return parsed.path(name);
  }

  static JsonNode parse(String json) {
    try {
      return JSON.readTree(json);
    } catch (IOException error) {
      throw new IllegalStateException("Not JSON: " + error.getMessage(), error);
    }
  }
}
