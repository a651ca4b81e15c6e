package io.millrace.beam;

import java.io.InputStream;
import java.io.OutputStream;
import java.nio.ByteBuffer;
import org.graalvm.polyglot.Context;
import org.graalvm.polyglot.Engine;
import org.graalvm.polyglot.EnvironmentAccess;
import org.graalvm.polyglot.HostAccess;
import org.graalvm.polyglot.PolyglotAccess;
import org.graalvm.polyglot.PolyglotException;
import org.graalvm.polyglot.Source;
import org.graalvm.polyglot.Value;
import org.graalvm.polyglot.io.IOAccess;

/** The script in GraalJS. Built by the Maven profile {@code graal} alone; see {@link GraalEngine}. */
final class GraalScript implements WorkerScript {
  /** Shared, so that what it compiles serves all scripts. It says of itself that it interprets where there is no compiler. */
  private static final Engine ENGINE =
      Engine.newBuilder("js").option("engine.WarnInterpreterOnly", "false").allowExperimentalOptions(true).build();

  /** Bytes in by a copy of what the host lends, bytes out as a buffer that holds nothing else. */
  private static final String CALL =
      """
      (function (script, name, text, lent) {
        const lentBytes = new Uint8Array(new ArrayBuffer(lent));
        const bytes = new Uint8Array(lentBytes);
        return script[name](text, bytes.buffer).slice().buffer;
      })
      """;

  private final Context context;
  private final Value script;
  private final Value caller;

  GraalScript(JobFile job) {
    context =
        Context.newBuilder("js")
            .engine(ENGINE)
            .allowExperimentalOptions(true)
            .allowAllAccess(false)
            .allowIO(IOAccess.NONE)
            .allowEnvironmentAccess(EnvironmentAccess.NONE)
            .allowPolyglotAccess(PolyglotAccess.NONE)
            .allowHostAccess(HostAccess.newBuilder(HostAccess.NONE).allowBufferAccess(true).build())
            // The launcher reads what the process says, line by line.
            .in(InputStream.nullInputStream())
            .out(OutputStream.nullOutputStream())
            .err(OutputStream.nullOutputStream())
            .option("js.disable-eval", "true")
            .option("js.console", "false")
            .option("js.load", "false")
            .option("js.print", "false")
            .option("js.graal-builtin", "false")
            .option("js.polyglot-builtin", "false")
            .build();
    try {
      context.eval(Source.newBuilder("js", job.script, "millrace.js").buildLiteral());
      script = context.eval("js", "openJob").execute(job.plan, job.settings);
      caller = context.eval("js", CALL);
    } catch (PolyglotException error) {
      throw new ScriptException("The script cannot be opened: " + error.getMessage(), error);
    }
  }

  @Override
  public byte[] call(String function, String text, byte[] bytes) {
    try {
      Value result = caller.execute(script, function, text, ByteBuffer.wrap(bytes));
      byte[] copy = new byte[(int) result.getBufferSize()];
      result.readBuffer(0, copy, 0, copy.length);
      return copy;
    } catch (PolyglotException error) {
      throw new ScriptException("The script failed in " + function + ": " + error.getMessage(), error);
    }
  }

  @Override
  public String describe() {
    try {
      return script.invokeMember("describe").asString();
    } catch (PolyglotException error) {
      throw new ScriptException("The script failed in describe: " + error.getMessage(), error);
    }
  }

  @Override
  public void close() {
    context.close();
  }
}
