package io.millrace.beam;

import java.lang.reflect.InvocationTargetException;

/** The script in GraalJS, where its jars are on the class path. */
final class GraalEngine {
  private GraalEngine() {}

  static WorkerScript open(JobFile job) {
    try {
      return (WorkerScript)
          Class.forName("io.millrace.beam.GraalScript").getDeclaredConstructor(JobFile.class).newInstance(job);
    } catch (ClassNotFoundException | NoClassDefFoundError error) {
      throw new ScriptException("The engine 'graal' needs its jars: build the host with -Pgraal.", error);
    } catch (InvocationTargetException error) {
      throw new ScriptException("The script cannot be opened: " + error.getCause().getMessage(), error.getCause());
    } catch (ReflectiveOperationException error) {
      throw new ScriptException("The engine 'graal' cannot be opened: " + error.getMessage(), error);
    }
  }
}
