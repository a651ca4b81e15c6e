package io.millrace.beam;

import java.io.Serializable;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.LongAdder;
import org.apache.beam.sdk.metrics.Counter;
import org.apache.beam.sdk.metrics.Metrics;

/** A counter of Beam's, and of this JVM: an embedded runner tells its metrics only at the end. */
final class Tally implements Serializable {
  private static final Map<String, Map<String, LongAdder>> HERE = new ConcurrentHashMap<>();
  private static final Map<String, Map<String, Long>> LEVELS = new ConcurrentHashMap<>();
  private static final Map<String, Map<String, Map<String, Long>>> SHARES = new ConcurrentHashMap<>();
  private final String source;
  private final String name;
  private final Counter counter;

  Tally(String source, String name) {
    this.source = source;
    this.name = name;
    counter = Metrics.counter(source, name);
  }

  void inc() {
    inc(1);
  }

  void inc(long count) {
    counter.inc(count);
    HERE.computeIfAbsent(source, any -> new ConcurrentHashMap<>())
        .computeIfAbsent(name, any -> new LongAdder())
        .add(count);
  }

  static Map<String, Map<String, LongAdder>> here() {
    return HERE;
  }

  /** Raises a level of this JVM, such as the newest event time. */
  static void raise(String source, String name, long value) {
    LEVELS.computeIfAbsent(source, any -> new ConcurrentHashMap<>()).merge(name, value, Math::max);
  }

  /** Sets a part's share of a level of this JVM, such as a partition's messages that are still to be read. */
  static void set(String source, String name, String part, long value) {
    SHARES.computeIfAbsent(source, any -> new ConcurrentHashMap<>())
        .computeIfAbsent(name, any -> new ConcurrentHashMap<>())
        .put(part, value);
  }

  static Map<String, Map<String, Long>> levels() {
    Map<String, Map<String, Long>> all = new TreeMap<>();
    LEVELS.forEach((source, own) -> all.put(source, new TreeMap<>(own)));
    SHARES.forEach(
        (source, own) ->
            own.forEach(
                (name, shares) ->
                    all.computeIfAbsent(source, any -> new TreeMap<>())
                        .put(name, shares.values().stream().mapToLong(Long::longValue).sum())));
    return all;
  }
}
