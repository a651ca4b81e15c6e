package io.millrace.beam;

import java.util.ArrayDeque;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The scripts of this JVM: as many per job as are in use at once. */
final class ScriptPool {
  private static final Map<String, ArrayDeque<WorkerScript>> IDLE = new ConcurrentHashMap<>();

  private ScriptPool() {}

  /** A call that leaves nothing behind in the script. */
  static byte[] call(JobFile job, String function, String text, byte[] bytes) {
    WorkerScript script = take(job);
    byte[] result = script.call(function, text, bytes);
    give(job, script);
    return result;
  }

  /** A script for the caller alone, to be given back as clean as it was, or closed. */
  static WorkerScript take(JobFile job) {
    ArrayDeque<WorkerScript> idle = idleOf(job);
    synchronized (idle) {
      WorkerScript script = idle.poll();
      if (script != null) return script;
    }
    return open(job);
  }

  static void give(JobFile job, WorkerScript script) {
    ArrayDeque<WorkerScript> idle = idleOf(job);
    synchronized (idle) {
      idle.push(script);
    }
  }

  private static ArrayDeque<WorkerScript> idleOf(JobFile job) {
    return IDLE.computeIfAbsent(job.id, id -> new ArrayDeque<>());
  }

  static WorkerScript open(JobFile job) {
    return job.engine.equals("graal") ? GraalEngine.open(job) : new V8Script(job);
  }
}
