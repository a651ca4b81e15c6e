package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;

/** Gathers the messages of a bundle for one call into the script. */
final class MessageBuffer {
  /** Bounds what one call takes: so many messages, or so many bytes. */
  private static final int MESSAGES = 20_000;
  private static final int BYTES = 8 << 20;

  private final int source;
  private final List<RawMessage> messages = new ArrayList<>();
  private int size = 0;

  MessageBuffer(int source) {
    this.source = source;
  }

  /** True if it is full. */
  boolean add(RawMessage message) {
    messages.add(message);
    if (message.value() != null) size += message.value().length;
    return messages.size() >= MESSAGES || size >= BYTES;
  }

  List<RawMessage> messages() {
    return messages;
  }

  boolean isEmpty() {
    return messages.isEmpty();
  }

  void clear() {
    messages.clear();
    size = 0;
  }

  byte[] call(JobFile job, String function) {
    WorkerScript script = ScriptPool.take(job);
    byte[] result = call(job, script, function, -1);
    ScriptPool.give(job, script);
    return result;
  }

  /** The call's result; `how` comes behind the source's number, unless it is negative. */
  byte[] call(JobFile job, WorkerScript script, String function, int how) {
    JsonNode form = job.get("sources").get(source).path("messages");
    boolean byFirstBytes = form.path("gzip_by_first_bytes").asBoolean();
    boolean plain = !form.isObject() || !form.get("bytes").asBoolean() && messages.stream().noneMatch(one -> isWrapped(one, byFirstBytes));
    Map<String, Integer> partitions = new LinkedHashMap<>();
    List<RawMessage> firsts = new ArrayList<>();
    int[] places = new int[messages.size()];
    for (int i = 0; i < places.length; i++) {
      RawMessage message = messages.get(i);
      Integer partition = partitions.get(message.partition());
      if (partition == null) {
        partition = partitions.size();
        partitions.put(message.partition(), partition);
        firsts.add(message);
      }
      places[i] = partition;
    }
    FrameWriter frame = new FrameWriter(64 + 12 * messages.size());
    frame.varint(source);
    if (how >= 0) frame.varint(how);
    frame.varint(firsts.size());
    for (RawMessage first : firsts) {
      frame.string(first.partition());
      frame.string(first.header());
    }
    String text = "";
    if (plain) text = writeTexts(places, frame);
    else writeBytes(places, byFirstBytes, form.get("registry").asBoolean() ? job : null, frame);
    return script.call(function, text, frame.toBytes());
  }

  /** Not as plain text: a registry's messages begin with a zero byte. */
  private static boolean isWrapped(RawMessage message, boolean byFirstBytes) {
    byte[] value = message.value();
    return value != null && value.length > 0 && (value[0] == 0 || Unpacked.isGzip(message, byFirstBytes));
  }

  private String writeTexts(int[] partitions, FrameWriter frame) {
    List<Integer> failed = new ArrayList<>();
    for (int i = 0; i < partitions.length; i++) if (messages.get(i).failure() != null) failed.add(i);
    frame.varint(failed.isEmpty() ? 0 : 2);
    if (!failed.isEmpty()) {
      frame.varint(failed.size());
      for (int i : failed) {
        frame.varint(i);
        frame.string(messages.get(i).failure());
      }
    }
    byte[] all = new byte[size];
    int at = 0;
    for (RawMessage message : messages) {
      byte[] value = message.value();
      if (value == null || message.failure() != null) continue;
      System.arraycopy(value, 0, all, at, value.length);
      at += value.length;
    }
    // Most text is ASCII, of which a byte is a character.
    boolean ascii = isAscii(all);
    StringBuilder text = new StringBuilder(ascii ? 0 : size);
    frame.varint(partitions.length);
    for (int i = 0; i < partitions.length; i++) {
      RawMessage message = messages.get(i);
      byte[] value = message.value();
      frame.varint(partitions[i]);
      if (value == null || message.failure() != null) {
        frame.varint(0);
      } else if (ascii) {
        frame.varint(value.length + 1L);
      } else {
        String part = new String(value, StandardCharsets.UTF_8);
        frame.varint(part.length() + 1L);
        text.append(part);
      }
      frame.zigzag(message.offset());
      frame.zigzag(message.arrival() + 1);
    }
    return ascii ? new String(all, StandardCharsets.ISO_8859_1) : text.toString();
  }

  private static boolean isAscii(byte[] bytes) {
    ByteBuffer eights = ByteBuffer.wrap(bytes);
    long bits = 0;
    while (eights.remaining() >= 8) bits |= eights.getLong();
    while (eights.hasRemaining()) bits |= eights.get();
    return (bits & 0x8080_8080_8080_8080L) == 0;
  }

  /** `registry` is the job if messages name schemas, which then come before them. */
  private void writeBytes(int[] partitions, boolean byFirstBytes, JobFile registry, FrameWriter frame) {
    List<Unpacked> contents = new ArrayList<>();
    Set<Long> ids = new TreeSet<>();
    frame.varint(1);
    for (RawMessage message : messages) {
      Unpacked content = Unpacked.of(message, byFirstBytes);
      contents.add(content);
      byte[] bytes = content.bytes();
      if (registry != null && bytes != null && bytes.length >= 5 && bytes[0] == 0) {
        ids.add(ByteBuffer.wrap(bytes).getInt(1) & 0xffff_ffffL);
      }
    }
    frame.varint(ids.size());
    for (long id : ids) {
      frame.varint(id);
      frame.string(SchemaRegistry.find(registry, id));
    }
    frame.varint(partitions.length);
    for (int i = 0; i < partitions.length; i++) {
      RawMessage message = messages.get(i);
      frame.varint(partitions[i]);
      frame.zigzag(message.offset());
      frame.zigzag(message.arrival() + 1);
      frame.varint(message.headers().size());
      message.headers().forEach((name, value) -> {
        frame.string(name);
        frame.string(value);
      });
      Unpacked content = contents.get(i);
      frame.varint(content.failure() != null ? 2 : content.bytes() == null ? 0 : 1);
      if (content.failure() != null) frame.string(content.failure());
      else if (content.bytes() != null) frame.bytes(content.bytes());
    }
  }
}
