package io.millrace.beam;

import com.caoccao.javet.interop.V8Host;
import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.coders.KvCoder;
import org.apache.beam.sdk.options.PipelineOptionsFactory;
import org.apache.beam.sdk.transforms.Create;
import org.apache.beam.sdk.transforms.GroupByKey;
import org.apache.beam.sdk.transforms.ParDo;
import org.apache.beam.sdk.values.KV;

/** A small pipeline in batch and as a stream, after which the JVM can keep what it loaded for the starts of jobs. */
public final class WarmUp {
  private WarmUp() {}

  public static void main(String[] args) throws Exception {
    V8Host.getV8Instance().createV8Runtime().close();
    for (boolean streaming : List.of(false, true)) {
      String[] options = {"--runner=FlinkRunner", "--flinkMaster=[local]", "--parallelism=1", "--streaming=" + streaming};
      Pipeline pipeline = Pipeline.create(PipelineOptionsFactory.fromArgs(Main.withDefaults(options)).create());
      byte[] key = "key".getBytes(StandardCharsets.UTF_8);
      KvCoder<byte[], byte[]> coder = KvCoder.of(ByteArrayCoder.of(), ByteArrayCoder.of());
      pipeline
          .apply("partials", Create.of(KV.of(key, key)).withCoder(coder))
          .apply("entities", GroupByKey.create())
          .apply("join", ParDo.of(new JoinFn()))
          .setCoder(coder);
      pipeline.run().waitUntilFinish();
    }
    Runtime.getRuntime().halt(0);
  }
}
