package io.millrace.beam;

import com.fasterxml.jackson.databind.JsonNode;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import org.apache.beam.sdk.Pipeline;
import org.apache.beam.sdk.coders.ByteArrayCoder;
import org.apache.beam.sdk.io.Read;
import org.apache.beam.sdk.io.kafka.KafkaIO;
import org.apache.beam.sdk.io.kafka.KafkaRecord;
import org.apache.beam.sdk.io.kafka.KafkaUnbounded;
import org.apache.beam.sdk.io.kafka.TimestampPolicy;
import org.apache.beam.sdk.transforms.MapElements;
import org.apache.beam.sdk.transforms.SimpleFunction;
import org.apache.beam.sdk.transforms.windowing.BoundedWindow;
import org.apache.beam.sdk.values.PCollection;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.joda.time.Duration;
import org.joda.time.Instant;

/** Reads topics of Kafka. An event's arrival is its record's timestamp; partitions are named as the embedded engine does. */
final class KafkaSource implements StreamSource {
  @Override
  public PCollection<RawMessage> read(Pipeline pipeline, String name, JsonNode source) {
    JsonNode kafka = source.get("kafka");
    Map<String, Object> config = new HashMap<>();
    kafka.get("config").fields().forEachRemaining(one -> config.put(one.getKey(), one.getValue().asText()));
    List<String> topics = new ArrayList<>();
    for (JsonNode topic : kafka.get("topics")) topics.add(topic.asText());
    boolean pinned = source.get("clock").asText().equals("stream");
    long lateness = source.get("lateness_ms").asLong();
    KafkaIO.Read<byte[], byte[]> read =
        KafkaIO.<byte[], byte[]>read()
            .withBootstrapServers(kafka.get("brokers").asText())
            .withTopics(topics)
            .withKeyDeserializerAndCoder(ByteArrayDeserializer.class, ByteArrayCoder.of())
            .withValueDeserializerAndCoder(ByteArrayDeserializer.class, ByteArrayCoder.of())
            .withConsumerConfigUpdates(config)
            .withTimestampPolicyFactory(
                (partition, previous) -> new Arrival(name, partition.toString(), pinned, lateness, previous));
    JsonNode from = kafka.path("from");
    if (from.isNumber()) read = read.withStartReadTime(new Instant(from.asLong()));
    Read.Unbounded<KafkaRecord<byte[], byte[]>> records = Read.from(new EvenSource<>(KafkaUnbounded.of(read)));
    JsonNode most = kafka.path("max_records");
    boolean all = source.path("messages").path("headers").asBoolean();
    return pipeline
        .apply(name + " kafka", most.isNumber() ? records.withMaxNumRecords(most.asLong()) : records)
        .apply(
            name + " messages",
            MapElements.via(
                new SimpleFunction<KafkaRecord<byte[], byte[]>, RawMessage>() {
                  @Override
                  public RawMessage apply(KafkaRecord<byte[], byte[]> record) {
                    return new RawMessage(
                        record.getTopic() + ":" + record.getPartition(),
                        "",
                        record.getOffset(),
                        record.getTimestamp(),
                        headersOf(record, all),
                        record.getKV().getValue());
                  }
                }))
        .setCoder(new RawMessage.Coder());
  }

  /** Of several with one name the last one counts; where they are not asked for, only what says how bytes are packed. */
  private static Map<String, String> headersOf(KafkaRecord<byte[], byte[]> record, boolean all) {
    if (record.getHeaders() == null) return Map.of();
    Map<String, String> headers = new TreeMap<>();
    for (Header header : record.getHeaders()) {
      if (!all && !header.key().equalsIgnoreCase("content-encoding")) continue;
      headers.put(header.key(), header.value() == null ? "" : new String(header.value(), StandardCharsets.UTF_8));
    }
    return headers;
  }

  /**
   * The watermark follows the arrivals, by the source's lateness behind them; of a partition without news it follows the
   * wall clock. A source with a clock of its own has none, since nothing of it may ever count as too late.
   */
  private static final class Arrival extends TimestampPolicy<byte[], byte[]> {
    private static final Duration IDLE = Duration.standardSeconds(2);
    private final String source;
    private final String partition;
    private final boolean pinned;
    private final Duration lateness;
    private Instant watermark;

    Arrival(String source, String partition, boolean pinned, long lateness, Optional<Instant> previous) {
      this.source = source;
      this.partition = partition;
      this.pinned = pinned;
      this.lateness = Duration.millis(lateness);
      watermark = previous.orElse(BoundedWindow.TIMESTAMP_MIN_VALUE);
    }

    @Override
    public Instant getTimestampForRecord(PartitionContext context, KafkaRecord<byte[], byte[]> record) {
      Instant arrival = new Instant(record.getTimestamp());
      if (!pinned) raise(arrival.minus(lateness));
      return arrival;
    }

    @Override
    public Instant getWatermark(PartitionContext context) {
      // Not known before the first answer of the broker's.
      if (context.getMessageBacklog() >= 0) Tally.set(source, "backlog_messages", partition, context.getMessageBacklog());
      if (pinned) return BoundedWindow.TIMESTAMP_MIN_VALUE;
      if (context.getMessageBacklog() == 0) raise(context.getBacklogCheckTime().minus(lateness).minus(IDLE));
      return watermark;
    }

    private void raise(Instant to) {
      if (to.isAfter(watermark)) watermark = to;
    }
  }
}
