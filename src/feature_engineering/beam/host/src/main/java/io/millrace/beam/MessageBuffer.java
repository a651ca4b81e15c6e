package io.millrace.beam;

import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

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
    Map<String, Integer> partitions = new LinkedHashMap<>();
    FrameWriter body = new FrameWriter();
    StringBuilder text = new StringBuilder(size);
    body.varint(messages.size());
    List<RawMessage> firsts = new ArrayList<>();
    for (RawMessage message : messages) {
      Integer partition = partitions.get(message.partition());
      if (partition == null) {
        partition = partitions.size();
        partitions.put(message.partition(), partition);
        firsts.add(message);
      }
      body.varint(partition);
      if (message.value() == null) {
        body.varint(0);
      } else {
        String part = new String(message.value(), StandardCharsets.UTF_8);
        body.varint(part.length() + 1L);
        text.append(part);
      }
      body.zigzag(message.offset());
      body.zigzag(message.arrival() + 1);
    }
    FrameWriter frame = new FrameWriter();
    frame.varint(source);
    frame.varint(firsts.size());
    for (RawMessage first : firsts) {
      frame.string(first.partition());
      frame.string(first.header());
    }
    byte[] rest = body.toBytes();
    frame.raw(rest, 0, rest.length);
    return ScriptPool.call(job, function, text.toString(), frame.toBytes());
  }
}
