package io.millrace.beam;

import com.caoccao.javet.exceptions.JavetException;
import com.caoccao.javet.interop.V8Host;
import com.caoccao.javet.interop.V8Runtime;
import com.caoccao.javet.values.primitive.V8ValueString;
import com.caoccao.javet.values.reference.V8ValueArrayBuffer;
import com.caoccao.javet.values.reference.V8ValueObject;
import com.caoccao.javet.values.reference.V8ValueTypedArray;

/** The script in V8, by Javet. */
final class V8Script implements WorkerScript {
  private final V8Runtime runtime;
  private final V8ValueObject script;

  V8Script(JobFile job) {
    try {
      runtime = V8Host.getV8Instance().createV8Runtime();
      runtime.getExecutor(job.script).setResourceName("millrace.js").executeVoid();
      runtime.allowEval(false);
      script = runtime.getGlobalObject().invoke("openJob", job.plan, job.settings);
    } catch (JavetException error) {
      throw new ScriptException("The script cannot be opened: " + error.getMessage(), error);
    }
  }

  @Override
  public byte[] call(String function, String text, byte[] bytes) {
    try (V8ValueString given = runtime.createV8ValueString(text);
        V8ValueArrayBuffer buffer = runtime.createV8ValueArrayBuffer(bytes.length)) {
      buffer.fromBytes(bytes);
      try (V8ValueTypedArray result = script.invoke(function, given, buffer)) {
        return result.toBytes();
      }
    } catch (JavetException error) {
      throw new ScriptException("The script failed in " + function + ": " + error.getMessage(), error);
    }
  }

  @Override
  public String describe() {
    try {
      return script.invokeString("describe");
    } catch (JavetException error) {
      throw new ScriptException("The script failed in describe: " + error.getMessage(), error);
    }
  }

  @Override
  public void close() {
    try {
      script.close();
      runtime.close();
    } catch (JavetException error) {
      throw new ScriptException("The script cannot be closed: " + error.getMessage(), error);
    }
  }
}
