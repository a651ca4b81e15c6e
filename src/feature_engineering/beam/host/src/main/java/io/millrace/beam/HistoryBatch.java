package io.millrace.beam;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import com.fasterxml.jackson.databind.util.RawValue;
import java.util.Base64;
import java.util.Map;
import java.util.TreeMap;

/** What one bundle adds to history, as the JSON that the launcher's statements read. */
final class HistoryBatch {
  private static final ObjectMapper JSON = new ObjectMapper();
  private static final byte[] NONE = new byte[0];
  private final ArrayNode letters = JSON.createArrayNode();
  /** By partition: the first and the last offset. */
  private final Map<String, long[]> ends = new TreeMap<>();
  private String rows = "[]";

  void covers(RawMessage message) {
    long offset = message.offset();
    long[] end = ends.computeIfAbsent(message.partition(), any -> new long[] {offset, offset});
    end[0] = Math.min(end[0], offset);
    end[1] = Math.max(end[1], offset);
  }

  void letter(RawMessage message, String code, String reason) {
    letters
        .addObject()
        .put("p", message.partition())
        .put("o", message.offset())
        .put("code", code)
        .put("reason", reason)
        .put("bytes", Base64.getEncoder().encodeToString(message.value() == null ? NONE : message.value()))
        .put("at", System.currentTimeMillis());
  }

  void rows(String json) {
    if (!json.isEmpty()) rows = json;
  }

  boolean isEmpty() {
    return ends.isEmpty() && letters.isEmpty();
  }

  String toJson() {
    ObjectNode batch = JSON.createObjectNode();
    ArrayNode covered = batch.putArray("ends");
    ends.forEach((partition, end) -> covered.addObject().put("p", partition).put("f", end[0]).put("o", end[1]));
    batch.set("letters", letters);
    batch.putRawValue("rows", new RawValue(rows));
    return batch.toString();
  }
}
