import java.lang.reflect.Method;
import java.nio.file.Path;

/** Opens the script of a job file as a worker does, and prints what its `describe` says. */
public final class OpenScript {
  public static void main(String[] args) throws Exception {
    Class<?> jobFile = Class.forName("io.millrace.beam.JobFile");
    Method read = jobFile.getDeclaredMethod("read", Path.class);
    read.setAccessible(true);
    Object job = read.invoke(null, Path.of(args[0]));
    Method open = Class.forName("io.millrace.beam.ScriptPool").getDeclaredMethod("open", jobFile);
    open.setAccessible(true);
    Object script = open.invoke(null, job);
    Method describe = Class.forName("io.millrace.beam.WorkerScript").getDeclaredMethod("describe");
    describe.setAccessible(true);
    System.out.println("\n" + describe.invoke(script));
    Runtime.getRuntime().halt(0);
  }
}
