package io.millrace.beam;

import java.util.ArrayDeque;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** The scripts of this JVM: as many per job as are in use at once. */
final class ScriptPool {
  private static final Map<String, ArrayDeque<WorkerScript>> IDLE = new ConcurrentHashMap<>();

  private ScriptPool() {}

  static byte[] call(JobFile job, String function, String text, byte[] bytes) {
    ArrayDeque<WorkerScript> idle = IDLE.computeIfAbsent(job.id, id -> new ArrayDeque<>());
    WorkerScript script;
    synchronized (idle) {
      script = idle.poll();
    }
    if (script == null) script = open(job);
    byte[] result = script.call(function, text, bytes);
    synchronized (idle) {
      idle.push(script);
    }
    return result;
  }

  static WorkerScript open(JobFile job) {
    return job.engine.equals("graal") ? GraalEngine.open(job) : new V8Script(job);
  }
}
