package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Asks a registry that speaks Confluent's API for the schemas that messages name: as texts, which the script reads. */
final class SchemaRegistry {
  /** A schema that was not there may be there later. */
  private static final long ASK_AGAIN_MS = 10_000;
  private static final int ATTEMPTS = 5;
  private static final long PAUSE_MS = 500;
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final Map<String, SchemaRegistry> KNOWN = new ConcurrentHashMap<>();

  private record Found(String schema, long askedAt) {}

  private final HttpClient client = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(10)).build();
  private final Map<Long, Found> schemas = new ConcurrentHashMap<>();
  private final JsonNode registry;
  private final String base;

  private SchemaRegistry(JsonNode registry) {
    this.registry = registry;
    base = registry.get("url").asText().replaceAll("/+$", "");
  }

  /** A schema as JSON, with all that it refers to; empty if the registry has none of this id. */
  static String find(JobFile job, long id) {
    return KNOWN.computeIfAbsent(job.id, any -> new SchemaRegistry(job.get("registry"))).find(id);
  }

  private String find(long id) {
    long now = System.currentTimeMillis();
    Found found = schemas.get(id);
    if (found == null || found.schema.isEmpty() && now - found.askedAt >= ASK_AGAIN_MS) {
      found = new Found(load(id), now);
      schemas.put(id, found);
    }
    return found.schema;
  }

  private String load(long id) {
    JsonNode answer = ask("/schemas/ids/" + id);
    if (answer == null) return "";
    Map<String, String> references = new LinkedHashMap<>();
    addReferences(answer, references);
    ObjectNode schema = JSON.createObjectNode();
    schema.put("type", answer.path("schemaType").asText("AVRO"));
    schema.put("text", answer.get("schema").asText());
    references.forEach((name, text) -> schema.withArray("references").addObject().put("name", name).put("text", text));
    schema.withArray("references");
    return schema.toString();
  }

  /** Those first that others need. */
  private void addReferences(JsonNode answer, Map<String, String> into) {
    for (JsonNode reference : answer.path("references")) {
      String name = reference.get("name").asText();
      if (into.containsKey(name)) continue;
      String subject = URLEncoder.encode(reference.get("subject").asText(), StandardCharsets.UTF_8).replace("+", "%20");
      String path = "/subjects/" + subject + "/versions/" + reference.get("version").asInt();
      JsonNode found = ask(path);
      if (found == null) throw failed(path, "it is not there, and a schema refers to it");
      addReferences(found, into);
      into.put(name, found.get("schema").asText());
    }
  }

  private JsonNode ask(String path) {
    for (int attempt = 1; ; attempt++) {
      String why;
      try {
        HttpResponse<String> answer = client.send(request(path), HttpResponse.BodyHandlers.ofString());
        int status = answer.statusCode();
        if (status == 404) return null;
        if (status == 401 || status == 403) throw failed(path, "it refuses, with " + status + ": check its user and password");
        if (status == 200) return JSON.readTree(answer.body());
        why = "it answers with " + status;
      } catch (IOException error) {
        why = String.valueOf(error.getMessage());
      } catch (InterruptedException error) {
        Thread.currentThread().interrupt();
        throw failed(path, "the worker ends");
      }
      if (attempt == ATTEMPTS) throw failed(path, why);
      pause(attempt);
    }
  }

  private static void pause(int attempt) {
    try {
      Thread.sleep(PAUSE_MS * attempt);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }

  private HttpRequest request(String path) {
    HttpRequest.Builder request =
        HttpRequest.newBuilder(URI.create(base + path))
            .timeout(Duration.ofMillis(registry.path("timeout_ms").asLong(10_000)))
            .header("accept", "application/vnd.schemaregistry.v1+json, application/json");
    if (registry.hasNonNull("username")) {
      String pair = registry.get("username").asText() + ":" + registry.path("password").asText("");
      request.header("authorization", "Basic " + Base64.getEncoder().encodeToString(pair.getBytes(StandardCharsets.UTF_8)));
    }
    return request.build();
  }

  private IllegalStateException failed(String path, String why) {
    return new IllegalStateException("The schema registry at " + base + " fails for " + path + ": " + why + ".");
  }
}
