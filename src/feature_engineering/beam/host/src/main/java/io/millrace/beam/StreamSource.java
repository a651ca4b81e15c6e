package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.Serializable;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.values.PCollection;

/** A transport: reads what a source's description in the job file says. */
interface StreamSource extends Serializable {
  PCollection<RawMessage> read(Pipeline pipeline, String name, JsonNode source);

  /** The transport that the description names; those of optional parts are there if the host was built with them. */
  static StreamSource of(JsonNode source) {
    if (source.has("files")) return new FileSource();
    if (source.has("kafka")) return new KafkaSource();
    String part = source.has("kinesis") ? "Kinesis" : "Pubsub";
    try {
      Class<?> found = Class.forName("io.millrace.beam." + part + "Source");
      return (StreamSource) found.getDeclaredConstructor().newInstance();
    } catch (ReflectiveOperationException | NoClassDefFoundError error) {
      throw new IllegalStateException("The host was built without its part for " + part + ": build it with -P" + part.toLowerCase(java.util.Locale.ROOT), error);
    }
  }
}
