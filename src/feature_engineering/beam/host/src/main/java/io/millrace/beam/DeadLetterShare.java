package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.LinkedHashSet;
import java.util.Set;
import org.apache.flink.runtime.throwable.ThrowableAnnotation;
import org.apache.flink.runtime.throwable.ThrowableType;

/** Counts the bad among the last messages that one worker has read of a source. */
final class DeadLetterShare {
  private static final int REASONS = 3;
  private final String source;
  private final int most;
  private final boolean[] ring;
  private final Set<String> reasons = new LinkedHashSet<>();
  private int at;
  private int bad;
  private int next;
  /** How many there were above the threshold. */
  private int exceeded;

  DeadLetterShare(JobFile job, int index, String source) {
    // A job that fits has none.
    JsonNode threshold = job.get("dead_letters").path(index);
    this.source = source;
    most = threshold.path("most").asInt(1);
    ring = new boolean[threshold.path("over").asInt(1)];
  }

  /** A bad one, by its place among a call's messages. */
  void bad(int place, String reason) {
    good(place - next);
    next = place + 1;
    if (reasons.size() < REASONS) reasons.add(reason);
    note(true);
    if (bad > most) exceeded = Math.max(exceeded, bad);
  }

  /** To be called before anything of a call's messages goes to history. @throws TooMany */
  void end(int messages) {
    good(messages - next);
    next = 0;
    if (exceeded > 0) throw new TooMany(facts());
    reasons.clear();
  }

  private void good(int messages) {
    if (bad == 0) at = (at + messages) % ring.length;
    else for (int i = 0; i < messages; i++) note(false);
  }

  private void note(boolean isBad) {
    bad += (isBad ? 1 : 0) - (ring[at] ? 1 : 0);
    ring[at] = isBad;
    at = at + 1 == ring.length ? 0 : at + 1;
  }

  private String facts() {
    String facts = source + "\n" + exceeded + "\n" + String.join("\n", reasons);
    return Base64.getEncoder().encodeToString(facts.getBytes(StandardCharsets.UTF_8)) + ": " + facts;
  }

  /** No runner is to begin the job again: the same messages would come. The launcher reads the facts in base64. */
  @ThrowableAnnotation(ThrowableType.NonRecoverableError)
  static final class TooMany extends RuntimeException {
    TooMany(String facts) {
      super(facts);
    }
  }
}
