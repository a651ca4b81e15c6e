package org.apache.beam.sdk.io.kafka;

import org.apache.beam.sdk.io.UnboundedSource;

/** Beam keeps the source of its reads of Kafka to its package. */
public final class KafkaUnbounded {
  private KafkaUnbounded() {}

  public static <K, V> UnboundedSource<KafkaRecord<K, V>, KafkaCheckpointMark> of(KafkaIO.Read<K, V> read) {
    return read.makeSource();
  }
}
